"""Which assets of a source item a subscriber's share is made of: delivered, computed with, or only looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pystac

from imagery.errors import AssetMissing, FormulaInvalid
from imagery.model.processing import Index
from imagery.model.subscription import Subscription
from imagery.raster.formula import Formula, parse_formula
from imagery.raster.index import bands_of
from imagery.raster.quality import QualityKind, quality_asset
from imagery.workflow.declared import is_categorical


@dataclass(frozen=True, kw_only=True, slots=True)
class Computed:
    """An index, and what its names stand for in one item."""

    index: Index
    formula: Formula
    bands: Mapping[str, tuple[str, int]]
    """Name in the formula → (asset key, number of the band in it, from 1)."""

    @property
    def keys(self) -> frozenset[str]:
        """Assets that have to be read for it."""
        return frozenset(key for key, _ in self.bands.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What has to be read of one item for one share."""

    delivered: tuple[str, ...]
    """Asset keys, in the subscriber's order."""

    computed: tuple[Computed, ...]
    quality: tuple[str, QualityKind] | None
    """Asset key and kind of the item's quality band; None if it has none."""

    categorical: frozenset[str]
    """Those of `keys` whose values are classes."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All that is read, each once: what is delivered, then what is only computed with."""
        return tuple(dict.fromkeys([*self.delivered, *(key for one in self.computed for key in sorted(one.keys))]))

    def is_computed_with(self, key: str) -> bool:
        """Whether an index needs it."""
        return any(key in one.keys for one in self.computed)


def needs_of(item: pystac.Item, subscription: Subscription) -> Needs:
    """Read nothing; raise AssetMissing for all that the item lacks at once, FormulaInvalid."""
    missing = [f"no asset {key!r}" for key in subscription.assets if key not in item.assets]
    quality = quality_asset(item)
    if quality is None:
        missing += [
            f"no quality band (scl, qa_pixel, udm2), which {wish} needs" for wish in _needing_quality(subscription)
        ]
    computed: list[Computed] = []
    unmet: list[str] = []
    for index in subscription.processing.indices:
        try:
            computed.append(_computed(item, index))
        except AssetMissing as error:
            unmet.append(f"index {index.name} cannot be computed: {error}")
    if missing:
        has = ", ".join(sorted(item.assets)) or "no assets"
        unmet.insert(0, f"item {item.id} has {'; '.join(missing)}; it has: {has}")
    if unmet:
        raise AssetMissing("; ".join(unmet))
    keys = {*subscription.assets, *(key for one in computed for key in one.keys)}
    categorical = frozenset(key for key in keys if is_categorical(item, key) or (quality and key == quality[0]))
    return Needs(
        delivered=tuple(dict.fromkeys(subscription.assets)),
        computed=tuple(computed),
        quality=quality,
        categorical=categorical,
    )


def needs_quality(subscription: Subscription) -> bool:
    """Whether nothing can be delivered without a quality band."""
    return bool(_needing_quality(subscription))


def _needing_quality(subscription: Subscription) -> list[str]:
    wishes = {
        "filter min_clear_fraction": subscription.filters.min_clear_fraction is not None,
        "processing option mask": subscription.processing.mask,
    }
    return [wish for wish, is_made in wishes.items() if is_made]


def _computed(item: pystac.Item, index: Index) -> Computed:
    formula = parse_formula(index.formula)
    try:
        bands = bands_of(item, formula)
    except FormulaInvalid as error:
        raise FormulaInvalid(f"index {index.name} cannot be computed of {item.id}: {error}") from error
    return Computed(index=index, formula=formula, bands=bands)
