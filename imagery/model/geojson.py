"""GeoJSON as people send it: the one Polygon or MultiPolygon in it, its rings closed and freed of doubles.

Every refusal names the place, as a JSON pointer from `/aoi` and, where there is one, as longitude and latitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from imagery.errors import AoiInvalid

Position = tuple[float, float]
"""(longitude, latitude) in degrees."""

WGS84_NAMES = frozenset(
    {
        "urn:ogc:def:crs:OGC:1.3:CRS84",
        "urn:ogc:def:crs:OGC::CRS84",
        "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        "OGC:CRS84",
        "CRS84",
        "EPSG:4326",
        "urn:ogc:def:crs:EPSG::4326",
    }
)
"""`crs` was taken out of GeoJSON in 2016; writers that still send it mean longitude, latitude by all of these."""

_SEND = "send a GeoJSON Polygon or MultiPolygon, or a Feature that holds one"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ring:
    """A closed ring, and where it stood."""

    positions: tuple[Position, ...]
    """As given, less doubles; the last equals the first."""

    name: str
    """For a person: 'exterior ring', 'hole 2 of polygon 3'."""

    pointer: str


def read_polygons(value: object, *, max_vertices: int, remarks: list[str]) -> tuple[str, tuple[tuple[Ring, ...], ...]]:
    """The geometry's type and its polygons' rings, exterior first; what was mended is added to `remarks`."""
    geometry, pointer = _geometry(value)
    kind = str(geometry["type"])
    coordinates = _listed(geometry.get("coordinates"), f"{pointer}/coordinates", "coordinates")
    many = kind == "MultiPolygon"
    outlines = coordinates if many else [coordinates]
    starts = [f"{pointer}/coordinates/{i}" if many else f"{pointer}/coordinates" for i in range(len(outlines))]
    _refuse_too_many(outlines, starts, max_vertices)
    polygons = tuple(
        _polygon(rings, start, f" of polygon {number}" if len(outlines) > 1 else "", remarks)
        for number, (rings, start) in enumerate(zip(outlines, starts, strict=True), start=1)
    )
    return kind, polygons


def _geometry(value: object) -> tuple[Mapping[str, object], str]:
    """The geometry itself and its pointer, out of whatever it is wrapped in."""
    outer, pointer = _object(value, "/aoi"), "/aoi"
    _refuse_other_crs(outer, pointer)
    if outer.get("type") == "FeatureCollection":
        features = _listed(outer.get("features"), f"{pointer}/features", "features")
        if len(features) != 1:
            raise AoiInvalid(
                f"the FeatureCollection has {len(features)} features and an AOI is one; {_SEND}, "
                "or make a subscription of each",
                field=f"{pointer}/features",
            )
        pointer = f"{pointer}/features/0"
        outer = _object(features[0], pointer)
        if outer.get("type") != "Feature":
            raise AoiInvalid(f"not a Feature; {_SEND}", field=f"{pointer}/type")
        _refuse_other_crs(outer, pointer)
    if outer.get("type") == "Feature":
        pointer = f"{pointer}/geometry"
        if outer.get("geometry") is None:
            raise AoiInvalid(f"the Feature has no geometry; {_SEND}", field=pointer)
        outer = _object(outer["geometry"], pointer)
        _refuse_other_crs(outer, pointer)
    if outer.get("type") not in ("Polygon", "MultiPolygon"):
        given = outer.get("type")
        what = f"a {given} is no area" if isinstance(given, str) and given else "there is no geometry type"
        raise AoiInvalid(f"{what[:80]}; {_SEND}", field=f"{pointer}/type")
    return outer, pointer


def _object(value: object, pointer: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise AoiInvalid(f"not a JSON object; {_SEND}", field=pointer)
    return value


def _refuse_other_crs(value: Mapping[str, object], pointer: str) -> None:
    crs = value.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, Mapping) else crs
    name = properties.get("name") if isinstance(properties, Mapping) else properties
    if not isinstance(name, str) or name not in WGS84_NAMES:
        raise AoiInvalid(
            f"coordinates must be longitude, latitude in WGS 84, and `crs` says {str(name)[:80]!r}; reproject them to "
            "EPSG:4326 and leave `crs` out",
            field=f"{pointer}/crs",
        )


def _listed(value: object, pointer: str, what: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise AoiInvalid(f"{what} must be an array; {_SEND}", field=pointer)
    if not value:
        raise AoiInvalid(f"{what} is empty; {_SEND}", field=pointer)
    return value


def _refuse_too_many(outlines: Sequence[object], starts: Sequence[str], limit: int) -> None:
    """Before anything is built of them, so that a huge body costs no more than its parsing did."""
    count = 0
    for outline, start in zip(outlines, starts, strict=True):
        for index, ring in enumerate(_listed(outline, start, "a polygon")):
            count += len(_listed(ring, f"{start}/{index}", "a ring"))
            if count > limit:
                raise AoiInvalid(
                    f"more than {limit} vertices, which is the limit; simplify the outline (a metre of tolerance "
                    "is not seen in any pixel), or split it",
                    field=start,
                )


def _polygon(rings: object, pointer: str, whose: str, remarks: list[str]) -> tuple[Ring, ...]:
    return tuple(
        _ring(
            _listed(ring, f"{pointer}/{index}", "a ring"),
            f"{pointer}/{index}",
            ("exterior ring" if index == 0 else f"hole {index}") + whose,
            remarks,
        )
        for index, ring in enumerate(_listed(rings, pointer, "a polygon"))
    )


def _ring(given: Sequence[object], pointer: str, name: str, remarks: list[str]) -> Ring:
    positions = [_position(position, f"{pointer}/{index}", name) for index, position in enumerate(given)]
    if len(positions) < 4:
        raise AoiInvalid(
            f"the {name} has {len(positions)} positions; a ring has at least 4, the last the same as the first",
            field=pointer,
        )
    if (
        any(len(position) > 2 for position in given if isinstance(position, list | tuple))
        and "Z dropped" not in remarks
    ):
        remarks.append("Z dropped")
    if positions[0] != positions[-1]:
        remarks.append(f"{name} was not closed; closed")
        positions.append(positions[0])
    single = [positions[0], *(after for before, after in pairwise(positions) if after != before)]
    if len(single) < len(positions):
        remarks.append(f"{name}: {len(positions) - len(single)} duplicate vertices removed")
    if len(set(single)) < 3:
        raise AoiInvalid(f"the {name} has fewer than three different positions and holds no area", field=pointer)
    return Ring(positions=tuple(single), name=name, pointer=pointer)


def _position(value: object, pointer: str, name: str) -> Position:
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise AoiInvalid(
            f"in the {name}, a position must be [longitude, latitude]; is the array nested as its type asks?",
            field=pointer,
        )
    longitude, latitude = (_number(part, f"{pointer}/{index}", name) for index, part in enumerate(value[:2]))
    if abs(latitude) > 90:
        hint = "they must be in degrees: reproject them to EPSG:4326"
        if abs(longitude) <= 90 and abs(latitude) <= 180:
            hint = "longitude comes first: are they swapped?"
        raise AoiInvalid(
            f"in the {name}, latitude {latitude:.10g} is outside -90 to 90 (at longitude {longitude:.10g}); {hint}",
            field=f"{pointer}/1",
        )
    # A ring across the antimeridian may count on past 180; once around the globe is the most that can mean.
    if abs(longitude) > 360:
        raise AoiInvalid(
            f"in the {name}, longitude {longitude:.10g} is outside -180 to 180 (at latitude {latitude:.10g})",
            field=f"{pointer}/0",
        )
    return longitude, latitude


def _number(value: object, pointer: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
        raise AoiInvalid(f"in the {name}, a coordinate must be a finite number, not {str(value)[:40]!r}", field=pointer)
    return float(value)


def unwrapped(positions: Sequence[Position]) -> tuple[Position, ...]:
    """Longitudes counted on without a jump: each within 180 degrees of the one before it."""
    moved = [positions[0]]
    for longitude, latitude in positions[1:]:
        near = longitude - 360.0 * round((longitude - moved[-1][0]) / 360.0)
        moved.append((longitude if abs(near - longitude) < 1 else near, latitude))
    return tuple(moved)


def is_ccw(positions: Sequence[Position]) -> bool:
    """Whether a closed ring without jumps runs counterclockwise."""
    x, y = positions[0]
    return math.fsum((a[0] - x) * (b[1] - y) - (b[0] - x) * (a[1] - y) for a, b in pairwise(positions)) > 0
