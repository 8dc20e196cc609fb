"""What a provider's collections hold, remembered for a while so that creating a subscription need not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pystac

from imagery.errors import CollectionUnknown, ProviderError, ProviderUnknown, SubscriptionInvalid
from imagery.ports import Clock, Provider
from imagery.service.specimen import is_raster, specimen_of

FRESH_FOR = timedelta(hours=1)
SILENT_FOR = timedelta(minutes=1)
"""A provider that did not answer is not asked again for this long."""

_SENTINEL_2_DEFAULT = ("blue", "green", "red", "nir", "scl")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Remembered:
    specimen: pystac.Item | None
    """An item as the collection promises it. None: it does not say, or the provider did not answer."""

    until: datetime


@dataclass(frozen=True, kw_only=True)
class CollectionDirectory:
    """Checks what a subscriber names against what the provider offers."""

    providers: Mapping[str, Provider]
    clock: Clock
    _remembered: dict[tuple[str, str], _Remembered] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def check(self, *, provider: str, collection: str, assets: tuple[str, ...]) -> tuple[str, ...]:
        """The assets to deliver: those named, or the collection's usual ones.

        Raises SubscriptionInvalid naming the field. A provider that does not answer now is no reason to refuse: what
        is wrong then shows in the subscription's failures.
        """
        if provider not in self.providers:
            known = ", ".join(sorted(self.providers)) or "none"
            raise SubscriptionInvalid(f"no provider {provider!r} is set up; there are: {known}", field="/provider")
        if "thumbnail" in assets:
            raise SubscriptionInvalid(
                "a thumbnail is made of every clip; leave it out", field=f"/assets/{assets.index('thumbnail')}"
            )
        specimen = self.specimen(provider=provider, collection=collection)
        offered = None if specimen is None else frozenset(key for key in specimen.assets if is_raster(specimen, key))
        if not assets:
            return self._usual(collection, offered)
        unknown = [key for key in assets if offered is not None and key not in offered]
        if unknown:
            is_other = specimen is not None and unknown[0] in specimen.assets
            raise SubscriptionInvalid(
                f"collection {collection} has {'no pixels in' if is_other else 'no asset'} {unknown[0]!r}; "
                f"it has: {', '.join(sorted(offered or ()))}",
                field=f"/assets/{assets.index(unknown[0])}",
            )
        return assets

    def _usual(self, collection: str, offered: frozenset[str] | None) -> tuple[str, ...]:
        usual = _SENTINEL_2_DEFAULT if collection.startswith("sentinel-2") else ()
        if usual and (offered is None or offered.issuperset(usual)):
            return usual
        there = f"; it has: {', '.join(sorted(offered))}" if offered else ""
        raise SubscriptionInvalid(f"name the assets of {collection} to deliver{there}", field="/assets")

    def specimen(self, *, provider: str, collection: str) -> pystac.Item | None:
        """An item as the collection promises it, not to be changed; None where nothing is known of it.

        Raises SubscriptionInvalid where the provider has no such collection.
        """
        now = self.clock()
        with self._lock:
            remembered = self._remembered.get((provider, collection))
        if remembered is None or remembered.until < now:
            remembered = self._ask(provider, collection, now)
            with self._lock:
                self._remembered[provider, collection] = remembered
        return remembered.specimen

    def _ask(self, provider: str, collection: str, now: datetime) -> _Remembered:
        try:
            found = self.providers[provider].get_collection(collection)
        except CollectionUnknown as error:
            raise SubscriptionInvalid(
                f"{provider} has no collection {collection!r} ({error})", field="/collection"
            ) from error
        except (ProviderError, ProviderUnknown):
            return _Remembered(specimen=None, until=now + SILENT_FOR)
        return _Remembered(specimen=specimen_of(found), until=now + FRESH_FOR)
