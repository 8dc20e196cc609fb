"""Filters of the Data API: read once, then asked of each scene. What cannot be read is refused as recorded."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import shapely
from shapely.errors import ShapelyError
from shapely.geometry import shape

from imagery.model.codec import parse_instant
from imagery.sandbox.planet.catalogue import PlanetScene
from imagery.sandbox.planet.refusals import invalid_query

Matches = Callable[[PlanetScene, Mapping[str, Any]], bool]
"""(scene, its properties now) → whether it is meant."""

MAX_DEPTH = 40

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "intersects": lambda aoi, outline: bool(aoi.intersects(outline)),
    "contains": lambda aoi, outline: bool(aoi.contains(outline)),
    "within": lambda aoi, outline: bool(outline.contains(aoi)),
    "disjoint": lambda aoi, outline: bool(aoi.disjoint(outline)),
}


@dataclass(frozen=True)
class _Problems:
    """What is wrong, by place."""

    found: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, place: str, message: str) -> Matches:
        self.found[place].append(message)
        return lambda _scene, _said: False


def parse_filter(document: object, *, place: str = "filter") -> Matches:
    """Raises Refusal (400) with every problem and its place in the body, such as `filter.config.1.config`."""
    problems = _Problems()
    matches = _read(document, place, problems, depth=0)
    if problems.found:
        raise invalid_query(problems.found)
    return matches


def _read(document: object, place: str, problems: _Problems, *, depth: int) -> Matches:
    if not isinstance(document, Mapping):
        return problems.add(place, f"{document!r} is not of type 'object'")
    if depth > MAX_DEPTH:
        return problems.add(place, "the filter is nested too deeply")
    for name in ("type", "config"):
        if name not in document:
            return problems.add(f"{place}.{name}", f"'{name}' is a required property")
    return _read_kind(str(document["type"]), document, place, problems, depth=depth)


def _read_kind(kind: str, document: Mapping[str, Any], place: str, problems: _Problems, *, depth: int) -> Matches:
    config = document["config"]
    if kind in ("AndFilter", "OrFilter"):
        return _read_several(kind, config, f"{place}.config", problems, depth=depth)
    if kind == "NotFilter":
        inner = _read(config, f"{place}.config", problems, depth=depth + 1)
        return lambda scene, said: not inner(scene, said)
    if kind not in _READERS:
        kinds = sorted([*_READERS, "AndFilter", "NotFilter", "OrFilter"])
        return problems.add(f"{place}.type", f"'{kind}' is not one of {kinds}")
    return _READERS[kind](document, config, f"{place}.config", problems)


def _read_several(kind: str, config: object, place: str, problems: _Problems, *, depth: int) -> Matches:
    if not isinstance(config, list):
        return problems.add(place, f"{config!r} is not of type 'array'")
    parts = [_read(one, f"{place}.{number}", problems, depth=depth + 1) for number, one in enumerate(config)]
    if kind == "AndFilter":
        return lambda scene, said: all(part(scene, said) for part in parts)
    return lambda scene, said: any(part(scene, said) for part in parts)


def _geometry(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    if not isinstance(config, Mapping):
        return problems.add(place, f"{config!r} is not of type 'object'")
    relation = _RELATIONS.get(str(document.get("relation", "intersects")))
    try:
        geometry = shapely.make_valid(shape(config))
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        return problems.add(place, f"the geometry cannot be read: {error}")
    if relation is None:
        return problems.add(place.removesuffix("config") + "relation", f"must be one of {sorted(_RELATIONS)}")
    return lambda scene, _said: relation(geometry, scene.outline)


def _range(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    return _compared(document, config, place, problems, float)


def _date_range(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    return _compared(document, config, place, problems, lambda value: parse_instant(str(value)))


def _update(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    # Which field was changed when is not kept: any change after publication counts.
    return _compared(
        {**document, "field_name": "updated"}, config, place, problems, lambda value: parse_instant(str(value))
    )


def _compared(
    document: Mapping[str, Any],
    config: Any,
    place: str,
    problems: _Problems,
    read: Callable[[Any], float | datetime],
) -> Matches:
    name = _field_name(document, place, problems)
    if not isinstance(config, Mapping) or not config:
        return problems.add(place, f"{config!r} is not of type 'object'")
    bounds = []
    for key, value in config.items():
        if key not in _COMPARISONS:
            problems.add(place, f"Additional properties are not allowed ('{key}' was unexpected)")
            continue
        try:
            bounds.append((_COMPARISONS[key], read(value)))
        except (ValueError, TypeError):
            problems.add(f"{place}.{key}", f"{value!r} is not a valid value")

    def matches(scene: PlanetScene, said: Mapping[str, Any]) -> bool:
        try:
            value = read(_value(scene, said, name))
        except (ValueError, TypeError):  # a field it lacks, or one of another kind
            return False
        return all(compare(value, bound) for compare, bound in bounds)

    return matches


def _one_of(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    name = _field_name(document, place, problems)
    if not isinstance(config, list):
        return problems.add(place, f"{config!r} is not of type 'array'")
    return lambda scene, said: _value(scene, said, name) in config


def _assets(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    del document
    if not isinstance(config, list):
        return problems.add(place, f"{config!r} is not of type 'array'")
    return lambda scene, _said: any(str(key) in scene.files for key in config)


def _permissions(document: Mapping[str, Any], config: Any, place: str, problems: _Problems) -> Matches:
    del document
    if not isinstance(config, list):
        return problems.add(place, f"{config!r} is not of type 'array'")

    def matches(scene: PlanetScene, _said: Mapping[str, Any]) -> bool:
        held = {f"assets.{key}:download" for key in scene.files} | ({"assets:download"} if scene.files else set())
        return any(str(one) in held for one in config)

    return matches


def _field_name(document: Mapping[str, Any], place: str, problems: _Problems) -> str:
    name = document.get("field_name")
    if not isinstance(name, str):
        problems.add(place.removesuffix("config") + "field_name", "'field_name' is a required property")
        return ""
    return name


def _value(scene: PlanetScene, said: Mapping[str, Any], name: str) -> Any:
    return scene.id if name == "id" else said.get(name)


_READERS: Mapping[str, Callable[[Mapping[str, Any], Any, str, _Problems], Matches]] = {
    "GeometryFilter": _geometry,
    "RangeFilter": _range,
    "DateRangeFilter": _date_range,
    "UpdateFilter": _update,
    "NumberInFilter": _one_of,
    "StringInFilter": _one_of,
    "AssetFilter": _assets,
    "PermissionFilter": _permissions,
}
