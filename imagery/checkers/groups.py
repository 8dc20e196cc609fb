"""Neighbouring subscriptions searched for together: one search a neighbourhood instead of one a subscription."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pystac
from shapely.geometry import box, mapping

from imagery.model.aoi import Aoi
from imagery.model.request import RequestKind
from imagery.model.search import Search
from imagery.model.subscription import Subscription
from imagery.ports import Provider
from imagery.service.discovery import Asker, IsLost
from imagery.service.joining import Joiner

CELL = 0.5
"""Degrees a side of a neighbourhood: half a Sentinel-2 tile."""

MAX_GROUP = 500


@dataclass(frozen=True, kw_only=True)
class Group:
    """Subscriptions of one collection whose AOIs lie close together."""

    members: list[Subscription] = field(default_factory=list)

    def search(
        self, provider: Provider, *, acquired_from: datetime, now: datetime, updated_since: datetime | None
    ) -> Iterator[pystac.Item]:
        """What the provider has over any of them, and a little around; none while their time lies ahead."""
        ends = [min(now, one.end_at) if one.end_at else now for one in self.members]
        first = max(acquired_from, min(one.start_at for one in self.members))
        if first > max(ends):
            return iter(())
        common = set.intersection(*(set(one.assets) for one in self.members))
        return provider.search(
            Search(
                collection=self.members[0].collection,
                aoi=_envelope(self.members),
                acquired_from=first,
                acquired_to=max(ends),
                updated_since=updated_since,
                assets=tuple(sorted(common)),
            )
        )

    def ask(
        self,
        items: Iterable[pystac.Item],
        *,
        joiner: Joiner,
        asker: Asker,
        now: datetime,
        is_lost: IsLost | None = None,
    ) -> int:
        """Ask for each of these, item by item, for the members it is for; gives how many pairs were asked for."""
        return sum(
            asker.ask(
                [joiner.match_among(item, self.members, now=now)],
                provider=self.members[0].provider,
                collection=self.members[0].collection,
                kind=RequestKind.UPDATE,
                now=now,
                is_lost=is_lost,
            )
            for item in items
        )


def grouped(subscriptions: Iterable[Subscription]) -> Iterator[Group]:
    """All of them, each in one group. Those that come together should lie together: a few pages at a time are kept."""
    groups: dict[object, Group] = {}
    held = 0
    for one in subscriptions:
        group = groups.setdefault(_neighbourhood(one), Group())
        group.members.append(one)
        held += 1
        if len(group.members) >= MAX_GROUP:
            held -= len(group.members)
            yield groups.pop(_neighbourhood(one))
        if held >= 20 * MAX_GROUP:
            yield from groups.values()
            groups, held = {}, 0
    yield from groups.values()


def _neighbourhood(subscription: Subscription) -> object:
    west, south, east, north = subscription.aoi.bbox
    if west > east or max(east - west, north - south) > CELL:
        return subscription.id  # a box around it and others would be too much of one
    return math.floor(west / CELL), math.floor(south / CELL), subscription.collection, subscription.provider


def _envelope(members: Sequence[Subscription]) -> Aoi:
    if len(members) == 1:
        return members[0].aoi
    boxes = [one.aoi.bbox for one in members]
    west, south, east, north = (
        *(min(each[side] for each in boxes) for side in (0, 1)),
        *(max(each[side] for each in boxes) for side in (2, 3)),
    )
    return Aoi(geometry=mapping(box(west, south, east, north)), bbox=(west, south, east, north), area_km2=0.0)
