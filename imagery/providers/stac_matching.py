"""Whether an item is what was asked for: providers have been seen ignoring filters. Pure: no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import shapely
from shapely import affinity
from shapely.geometry import box, shape
from shapely.geometry.base import BaseGeometry

from imagery.errors import ProviderAnswerInvalid
from imagery.model.search import Search


class _Unreadable(Exception):
    """A part of an item that cannot be read, so that it cannot be judged."""

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part


class Matcher:
    """Judges items, as they came, by one search."""

    def __init__(self, search: Search) -> None:
        self._search = search
        aoi = shape(search.aoi.geometry)
        # Footprints over the antimeridian are met split, as 179…181 and as -181…-179.
        turned = [affinity.translate(aoi, xoff=offset) for offset in (-360.0, 0.0, 360.0)]
        self._aoi = shapely.union_all(turned)
        shapely.prepare(self._aoi)

    def mismatch(self, item: Mapping[str, Any]) -> str | None:
        """Which part of the search it fails: "collection", "datetime", "footprint", "updated"; None: it matches.

        Raises ProviderAnswerInvalid for an item that might match but cannot be read: left out, the answer would
        no longer be whole.
        """
        unreadable: str | None = None
        for part, matches in self._tests().items():
            try:
                if not matches(item):
                    return part
            except _Unreadable as error:
                unreadable = unreadable or error.part
        if unreadable is not None:
            raise ProviderAnswerInvalid(
                f"item {str(item.get('id'))[:100]!r} of {self._search.collection} has no usable {unreadable}, so it "
                "cannot be told whether it was asked for; report it to the provider"
            )
        return None

    def _tests(self) -> dict[str, Callable[[Mapping[str, Any]], bool]]:
        return {
            "collection": self._in_collection,
            "datetime": self._in_window,
            "footprint": self._in_aoi,
            "updated": self._is_recent,
        }

    def _in_collection(self, item: Mapping[str, Any]) -> bool:
        collection = item.get("collection")
        if not isinstance(collection, str):
            raise _Unreadable("collection")
        return collection == self._search.collection

    def _in_window(self, item: Mapping[str, Any]) -> bool:
        properties = _properties(item)
        if properties.get("datetime") is not None:
            first = last = _instant(properties, "datetime")
        else:
            first, last = _instant(properties, "start_datetime"), _instant(properties, "end_datetime")
        return first <= self._search.acquired_to and last >= self._search.acquired_from

    def _in_aoi(self, item: Mapping[str, Any]) -> bool:
        return any(self._aoi.intersects(one) for one in _footprints(item))

    def _is_recent(self, item: Mapping[str, Any]) -> bool:
        since, properties = self._search.updated_since, _properties(item)
        if since is None or properties.get("updated") is None:
            return True
        return _instant(properties, "updated") >= since


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = item.get("properties")
    if not isinstance(properties, Mapping):
        raise _Unreadable("properties")
    return properties


def _instant(properties: Mapping[str, Any], key: str) -> datetime:
    """An instant of an item; without an offset it is UTC, as pystac reads it."""
    try:
        instant = datetime.fromisoformat(properties[key].strip().upper())
    except (KeyError, AttributeError, ValueError) as error:
        raise _Unreadable(key) from error
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _footprints(item: Mapping[str, Any]) -> list[BaseGeometry]:
    """The item's outline, or its bbox when it has none; both ways round the globe where it is ambiguous."""
    geometry, bbox = item.get("geometry"), item.get("bbox")
    try:
        footprint = shape(geometry) if geometry else _box(bbox)
        if not footprint.is_valid:
            footprint = shapely.make_valid(footprint)
    except Exception as error:  # shapely raises whatever the odd input happens to trip
        raise _Unreadable("geometry") from error
    if footprint.is_empty:
        raise _Unreadable("geometry")
    west, _, east, _ = footprint.bounds
    if east - west <= 180.0:
        return [footprint]
    # Wider than half the globe: more likely a scene over the antimeridian that nobody split.
    eastern = shapely.transform(footprint, _eastward)
    return [footprint, shapely.make_valid(eastern)]


def _eastward(coordinates: Any) -> Any:
    """Longitudes from 0 to 360."""
    turned = coordinates.copy()
    turned[:, 0] %= 360.0
    return turned


def _box(bbox: Any) -> BaseGeometry:
    numbers = [float(number) for number in bbox]
    west, south, east, north = numbers if len(numbers) == 4 else (numbers[0], numbers[1], numbers[3], numbers[4])
    return box(west, south, east + 360.0 if east < west else east, north)
