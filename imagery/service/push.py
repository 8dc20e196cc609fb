"""What providers push to us, taken as a hint: the item is asked for at the provider before anything happens."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pystac

from imagery.errors import ItemUnknown, NotificationForged, NotificationInvalid, ProviderUnavailable, ProviderUnknown
from imagery.model.codec import parse_instant
from imagery.model.subscription import SubscriptionQuery, SubscriptionStatus
from imagery.ports import Clock, Provider, SubscriptionStore
from imagery.providers.sns import CONFIRMATION, NOTIFICATION, Verifier, parse_envelope

logger = logging.getLogger(__name__)

MAX_ID_CHARS = 256
REMEMBERED = 10_000
"""Messages whose redelivery is answered without looking; a forgotten one is looked at again and asks for nothing."""

Bbox = tuple[float, float, float, float]


class Take(Protocol):
    """Joins items to subscriptions and asks for them; an item asked for already is passed over."""

    def __call__(self, items: Sequence[pystac.Item], *, provider: str, now: datetime) -> int:
        """Gives how much was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """What a message says was published: not believed, only looked at."""

    collection: str
    item_id: str
    bbox: Bbox | None
    """(west, south, east, north) in degrees; None when it has none we can use."""

    updated_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Push:
    """Takes messages of topics we listen to. Nothing it answers tells a stranger who subscribes to what."""

    providers: Mapping[str, Provider]
    topics: Mapping[str, Sequence[str]]
    """Provider → ARNs of the topics it publishes on."""

    subscriptions: SubscriptionStore
    verifier: Verifier
    take: Take
    clock: Clock
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def signed(self, provider: str, body: bytes) -> None:
        """A message as SNS wraps and signs it.

        Raises ProviderUnknown, NotificationInvalid, NotificationForged; ProviderUnavailable when it should come again.
        """
        topics = self._topics(provider)
        envelope = parse_envelope(body)
        if envelope.topic_arn not in topics:
            raise NotificationForged("nobody here listens to this topic; see IMAGERY_SNS_TOPICS")
        self.verifier.verify(envelope)
        if envelope.type == CONFIRMATION:
            self.verifier.confirm(envelope)
            logger.info("topic subscribed", extra={"provider": provider, "topic": envelope.topic_arn})
        elif envelope.type == NOTIFICATION:
            self._once(envelope.message_id, lambda: self._follow(provider, parse_hint(envelope.message), trusted=True))
        else:
            logger.warning("topic unsubscribed", extra={"provider": provider, "topic": envelope.topic_arn})

    def raw(self, provider: str, body: bytes, *, topic_arn: str | None, leave: Callable[[], None]) -> None:
        """An item as SNS delivers it raw: unsigned, so anybody may have sent it.

        `leave` is asked before the provider is, and raises Throttled. Raises as `signed` does.
        """
        if topic_arn is not None and topic_arn not in self._topics(provider):
            raise NotificationForged("nobody here listens to this topic; see IMAGERY_SNS_TOPICS")
        self._topics(provider)
        self._follow(provider, parse_hint(body), trusted=False, leave=leave)

    def _topics(self, provider: str) -> Sequence[str]:
        topics = self.topics.get(provider)
        if topics is None or provider not in self.providers:
            raise ProviderUnknown(f"no provider {provider[:MAX_ID_CHARS]} is set up that pushes notifications")
        return topics

    def _once(self, message_id: str, follow: Callable[[], None]) -> None:
        with self._lock:
            if message_id in self._seen:
                return
        follow()
        with self._lock:
            self._seen[message_id] = None
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)

    def _follow(self, provider: str, hint: Hint, *, trusted: bool, leave: Callable[[], None] = lambda: None) -> None:
        # A stranger who may name any footprint must not learn from our answer where somebody's fields are.
        if not self._is_wanted(provider, hint.collection, hint.bbox if trusted else None):
            return
        leave()
        try:
            item = self.providers[provider].get(hint.collection, hint.item_id)
        except ItemUnknown:
            if not trusted:
                return
            # Published is not yet searchable: the topic feeds the provider's own index too.
            raise ProviderUnavailable(f"{provider} does not have the item yet; send the message again") from None
        if trusted and _is_older(item, hint):
            raise ProviderUnavailable(f"{provider} has an earlier state of the item; send the message again")
        requested = self.take([item], provider=provider, now=self.clock())
        logger.info("push taken", extra={"provider": provider, "item": item.id, "requested": requested})

    def _is_wanted(self, provider: str, collection: str, bbox: Bbox | None) -> bool:
        query = SubscriptionQuery(
            statuses=frozenset({SubscriptionStatus.ACTIVE}),
            provider=provider,
            collection=collection,
            bbox=bbox,
            limit=1,
        )
        return bool(self.subscriptions.find(query).values)


def parse_hint(text: str | bytes) -> Hint:
    """Raises NotificationInvalid unless it is JSON with the id and collection of a STAC item."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotificationInvalid("the message is not JSON; a STAC item was expected") from error
    if not isinstance(given, dict) or given.get("type") != "Feature":
        raise NotificationInvalid("the message is no STAC item: its type is not Feature")
    for name in ("id", "collection"):
        if (
            not isinstance(given.get(name), str)
            or not 0 < len(given[name]) <= MAX_ID_CHARS
            or not _is_text(given[name])
        ):
            raise NotificationInvalid(f"the item's {name} is missing, or not text", field=f"/{name}")
    properties = given.get("properties")
    updated = properties.get("updated") if isinstance(properties, dict) else None
    return Hint(
        collection=given["collection"],
        item_id=given["id"],
        bbox=_bbox(given.get("bbox")),
        updated_at=_instant(updated),
    )


def _is_text(text: str) -> bool:
    return text.isprintable() and not any("\ud800" <= c <= "\udfff" for c in text)


def _bbox(value: Any) -> Bbox | None:
    if not isinstance(value, list) or len(value) not in (4, 6):
        return None
    if not all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in value):
        return None
    half = len(value) // 2
    west, south, east, north = (float(n) for n in (value[0], value[1], value[half], value[half + 1]))
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= north <= 90):
        return None
    return west, south, east, north


def _instant(value: Any) -> datetime | None:
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _is_older(item: pystac.Item, hint: Hint) -> bool:
    """Whether the provider still shows what was there before the message."""
    updated = item.common_metadata.updated
    return hint.updated_at is not None and updated is not None and updated < hint.updated_at
