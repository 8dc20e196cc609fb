"""Which subscriptions an item is for: its footprint against their areas, its acquisition against their time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pystac
import shapely
from shapely import affinity
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from imagery.errors import ImageryError, ProviderAnswerInvalid
from imagery.model.paging import walk
from imagery.model.subscription import Priority, Subscription, SubscriptionQuery, SubscriptionStatus
from imagery.ports import SubscriptionStore

logger = logging.getLogger(__name__)

PAGE = 2000
"""Subscriptions read at once; of those that match little more than the name is kept."""

GLOBE = box(-180, -90, 180, 90)

Bbox = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Taker:
    """A subscription that wants an item: no more of it than asking for the item needs."""

    subscription_id: str
    priority: Priority
    area_km2: float

    @classmethod
    def of(cls, subscription: Subscription) -> Taker:
        return cls(subscription_id=subscription.id, priority=subscription.priority, area_km2=subscription.aoi.area_km2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """One item and those who want it."""

    item: pystac.Item
    takers: tuple[Taker, ...]


class Target:
    """An item as the join sees it: where it lies and when it was acquired. Raises ProviderAnswerInvalid."""

    def __init__(self, item: pystac.Item) -> None:
        self.item = item
        self._first, self._last = acquisition_of(item)
        self._footprint = _footprint(item)
        shapely.prepare(self._footprint)

    @cached_property
    def bbox(self) -> Bbox:
        """(west, south, east, north); west > east when it crosses the antimeridian."""
        west, south, east, north = self._footprint.bounds
        if west > -180 or east < 180:
            return (west, south, east, north)
        parts = [part.bounds for part in getattr(self._footprint, "geoms", (self._footprint,))]
        eastern, western = [p for p in parts if p[0] >= 0], [p for p in parts if p[2] <= 0]
        if len(eastern) + len(western) < len(parts) or not eastern or not western:
            return (west, south, east, north)
        return (min(p[0] for p in eastern), south, max(p[2] for p in western), north)

    def is_for(self, subscription: Subscription) -> bool:
        """Whether it shows some of the area and was acquired in the time that is wanted."""
        return (
            self._last >= subscription.start_at
            and (subscription.end_at is None or self._first <= subscription.end_at)
            and bool(self._footprint.intersects(shape(subscription.aoi.geometry)))
        )


@dataclass(frozen=True, kw_only=True)
class Joiner:
    """Finds an item's takers among any number of subscriptions, through the store's spatial index."""

    subscriptions: SubscriptionStore
    late_arrivals: timedelta

    def match(self, item: pystac.Item, *, provider: str, collection: str, now: datetime) -> Match:
        """Every active subscription that the item is for; its time costs what lies under the item, not what there is.

        An item that cannot be placed or dated is for nobody, and said so in the log: it must not hold up the others.
        """
        try:
            target = Target(item)
        except ImageryError as error:
            logger.warning("item passed over: %s", error, extra={"provider": provider, "item": item.id})
            return Match(item=item, takers=())
        query = SubscriptionQuery(
            provider=provider,
            collection=collection,
            statuses=frozenset({SubscriptionStatus.ACTIVE}),
            bbox=target.bbox,
            limit=PAGE,
        )
        near = walk(lambda cursor: self.subscriptions.find(replace(query, cursor=cursor)))
        return Match(item=item, takers=tuple(self._takers(target, near, now)))

    def match_among(self, item: pystac.Item, subscriptions: Iterable[Subscription], *, now: datetime) -> Match:
        """As `match`, among these alone. Raises ProviderAnswerInvalid for an item that cannot be placed or dated."""
        return Match(item=item, takers=tuple(self._takers(Target(item), subscriptions, now)))

    def _takers(self, target: Target, subscriptions: Iterable[Subscription], now: datetime) -> Iterator[Taker]:
        for one in subscriptions:
            is_late = one.end_at is not None and (updated_at(target.item) or now) > one.end_at + self.late_arrivals
            if not is_late and target.is_for(one):
                yield Taker.of(one)


def updated_at(item: pystac.Item) -> datetime | None:
    """When the provider last changed the item; None when it does not say. Raises ProviderAnswerInvalid."""
    return _instant(item, lambda: item.common_metadata.updated or item.common_metadata.created)


def acquired_at(item: pystac.Item) -> datetime:
    """The item's nominal instant. Raises ProviderAnswerInvalid when it has none."""
    return acquisition_of(item)[0]


def acquisition_of(item: pystac.Item) -> tuple[datetime, datetime]:
    """First and last instant of its acquisition. Raises ProviderAnswerInvalid when it has none."""
    instant = _instant(item, lambda: item.datetime)
    if instant is not None:
        return instant, instant
    first = _instant(item, lambda: item.common_metadata.start_datetime)
    if first is None:
        raise ProviderAnswerInvalid(f"item {item.id} has neither datetime nor start_datetime")
    return first, _instant(item, lambda: item.common_metadata.end_datetime) or first


def _instant(item: pystac.Item, read: Callable[[], datetime | None]) -> datetime | None:
    try:
        instant = read()
    except (ValueError, TypeError, OverflowError) as error:
        raise ProviderAnswerInvalid(f"item {item.id} has a time that is none: {error}") from error
    # STAC says UTC; one without an offset is taken at that word, not as the time of this machine's zone.
    return instant.replace(tzinfo=UTC) if instant is not None and instant.tzinfo is None else instant


def _footprint(item: pystac.Item) -> BaseGeometry:
    """Its outline (its bbox where it has none) within -180 to 180, split at the antimeridian as AOIs are."""
    try:
        outline = shape(item.geometry) if item.geometry else _box(item.bbox)
        outline = outline if outline.is_valid else shapely.make_valid(outline)
        outline = _narrowed(outline)
    except Exception as error:  # shapely raises whatever the odd input happens to trip
        what = f"{type(error).__name__}: {error}"
        raise ProviderAnswerInvalid(f"item {item.id} has no usable geometry: {what}") from error
    if outline.is_empty:
        raise ProviderAnswerInvalid(f"item {item.id} has an empty geometry")
    west, _, east, _ = outline.bounds
    if west >= -180 and east <= 180:
        return outline
    turned = [affinity.translate(outline, xoff=offset).intersection(GLOBE) for offset in (-360.0, 0.0, 360.0)]
    return shapely.union_all(turned)


def _narrowed(outline: BaseGeometry) -> BaseGeometry:
    """Wider than half the globe is more likely a scene over the antimeridian that nobody split."""
    west, _, east, _ = outline.bounds
    if east - west <= 180.0:
        return outline
    eastern = shapely.make_valid(shapely.transform(outline, _eastward))
    west, _, east, _ = eastern.bounds
    return eastern if eastern.area > 0 and east - west <= 180.0 else outline


def _eastward(coordinates: Any) -> Any:
    """Longitudes from 0 to 360."""
    turned = coordinates.copy()
    turned[:, 0] %= 360.0
    return turned


def _box(bbox: Any) -> BaseGeometry:
    numbers = [float(number) for number in bbox]
    west, south, east, north = numbers if len(numbers) == 4 else (numbers[0], numbers[1], numbers[3], numbers[4])
    return box(west, south, east + 360.0 if east < west else east, north)
