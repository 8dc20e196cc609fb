"""A subscriber's area: parsed from GeoJSON, mended where harmless, refused with the place named where not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from shapely import union_all
from shapely.geometry import MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient
from shapely.validation import explain_validity

from imagery.errors import AoiInvalid
from imagery.model.ellipsoid import area_km2
from imagery.model.geojson import Position, Ring, is_ccw, read_polygons, unwrapped


@dataclass(frozen=True, kw_only=True, slots=True)
class Aoi:
    """An area on the ground."""

    geometry: dict[str, object]
    """GeoJSON Polygon or MultiPolygon, longitude/latitude (EPSG:4326), RFC 7946 winding, split at the antimeridian."""

    bbox: tuple[float, float, float, float]
    """(west, south, east, north) in degrees; west > east when it crosses the antimeridian."""

    area_km2: float
    """On the WGS 84 ellipsoid."""


NO_WIDTH = 1e-9
"""Degrees (a tenth of a millimetre): what reaches over the antimeridian by less was meant to end there."""

MERGED_VERTICES = 300
"""Merging is left to the caller beyond that: crossing combs have as many crossings as the square of their teeth."""

MAX_REMARKS = 20
"""A person reads no more."""


def parse_aoi(value: object, *, max_vertices: int, max_area_km2: float) -> tuple[Aoi, tuple[str, ...]]:
    """The area in a GeoJSON geometry, Feature, or FeatureCollection of one; and what was mended in it, for a person.

    Mended are winding, closure, repeated vertices, Z, parts that touch, and crossing the antimeridian; coordinates stay
    as given. Anything else raises AoiInvalid, whose `field` is a JSON pointer from `/aoi`.
    """
    remarks: list[str] = []
    kind, polygons = read_polygons(value, max_vertices=max_vertices, remarks=remarks)
    parts = [part for rings in polygons for part in _split(_in_plane(rings, remarks), rings, remarks)]
    parts = _merged(parts, remarks)
    area = sum(area_km2(part.exterior.coords, [hole.coords for hole in part.interiors]) for part in parts)
    if area > max_area_km2:
        raise AoiInvalid(
            f"the area is {area:,.1f} km² and the limit is {max_area_km2:,.1f} km²; make it smaller, or split it into "
            "several subscriptions",
            field="/aoi",
        )
    many = kind == "MultiPolygon" or len(parts) > 1
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS:] = [f"and {len(remarks) - MAX_REMARKS} more like these"]
    return Aoi(geometry=_geojson(parts, many=many), bbox=_bbox(parts), area_km2=area), tuple(remarks)


def _in_plane(rings: Sequence[Ring], remarks: list[str]) -> Polygon:
    """A valid polygon wound as RFC 7946 asks, its longitudes without jumps (so that they may pass 180)."""
    shell = _without_jumps(rings[0])
    holes = [_beside(_without_jumps(hole), shell) for hole in rings[1:]]
    polygon = Polygon(shell, holes)
    if polygon.convex_hull.area == 0:
        raise AoiInvalid(f"the {rings[0].name} holds no area: its vertices lie on a line", field=rings[0].pointer)
    if not polygon.is_valid:
        raise _invalid(polygon, rings)
    for index, (ring, positions) in enumerate(zip(rings, (shell, *holes), strict=True)):
        ccw = is_ccw(positions)
        if ccw != (index == 0):
            remarks.append(f"{ring.name} was {'counterclockwise' if ccw else 'clockwise'}; reversed")
    return orient(polygon)


def _without_jumps(ring: Ring) -> tuple[Position, ...]:
    longitudes = [longitude for longitude, _ in ring.positions]
    if min(longitudes) > 180 or max(longitudes) < -180:
        turned = longitudes[0] - 360 * round(longitudes[0] / 360)
        raise AoiInvalid(
            f"the {ring.name} lies at longitude {longitudes[0]:.10g}, outside -180 to 180; "
            f"write it as {turned:.10g} (only an area across the antimeridian may count on past 180)",
            field=f"{ring.pointer}/0/0",
        )
    positions = unwrapped(ring.positions)
    goes_round = abs(positions[-1][0] - positions[0][0]) > 180
    if goes_round or (max(longitudes) - min(longitudes) >= 360 and Polygon(positions).convex_hull.area == 0):
        raise AoiInvalid(
            f"the {ring.name} goes around the globe, or around a pole; send the part of it that is wanted",
            field=ring.pointer,
        )
    return positions


def _beside(hole: tuple[Position, ...], shell: tuple[Position, ...]) -> tuple[Position, ...]:
    """The hole counted on as its shell is, when one says 181 and the other -179."""
    turns = round((_middle(shell) - _middle(hole)) / 360)
    return tuple((longitude + 360 * turns, latitude) for longitude, latitude in hole) if turns else hole


def _middle(positions: Sequence[Position]) -> float:
    longitudes = [longitude for longitude, _ in positions]
    return (min(longitudes) + max(longitudes)) / 2


def _invalid(polygon: Polygon, rings: Sequence[Ring]) -> AoiInvalid:
    reason = explain_validity(polygon)
    found = re.search(r"\[(\S+) (\S+)\]", reason)
    what = reason.partition("[")[0].strip().lower()
    if found is None:
        return AoiInvalid(f"the {rings[0].name} is not valid: {what}", field=rings[0].pointer)
    place = Point(float(found[1]), float(found[2]))
    lines = [polygon.exterior, *polygon.interiors]
    nearest = min(range(len(lines)), key=lambda index: (lines[index].distance(place), -index))
    longitude = (place.x + 180) % 360 - 180 if abs(place.x) > 180 else place.x
    return AoiInvalid(
        f"the {rings[nearest].name} is not valid: {what} at longitude {longitude:.10g}, latitude {place.y:.10g}; "
        "move or remove the vertices there",
        field=rings[nearest].pointer,
    )


def _split(polygon: Polygon, rings: Sequence[Ring], remarks: list[str]) -> list[Polygon]:
    """Its parts within -180 to 180, each on one side of the antimeridian (RFC 7946, 3.1.9)."""
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180:
        return [polygon]
    # Longitude by what it is after turning back: the turn itself costs the last digits.
    given = {(round(_turned(x), 9), y): _turned(x) for ring in rings for x, y in ring.positions}
    parts = [
        _turned_back(piece, turns, given)
        for turns in (-1, 0, 1)
        for piece in _polygons(polygon.intersection(box(360 * turns - 180, -90, 360 * turns + 180, 90)))
        if piece.bounds[2] - piece.bounds[0] > NO_WIDTH
    ]
    if len(parts) > 1:
        remarks.append(f"{rings[0].name} crosses the antimeridian; split in {'two' if len(parts) == 2 else len(parts)}")
    return parts


def _turned_back(piece: Polygon, turns: int, given: Mapping[Position, float]) -> Polygon:
    """Within -180 to 180, every vertex that was given as it was given."""

    def back(positions: Iterable[Position]) -> list[Position]:
        turned = ((x - 360 * turns, y) for x, y in positions)
        return [(given.get((round(x, 9), y), x), y) for x, y in turned]

    return orient(Polygon(back(piece.exterior.coords), [back(hole.coords) for hole in piece.interiors]))


def _turned(longitude: float) -> float:
    if longitude > 180:
        return longitude - 360
    return longitude + 360 if longitude < -180 else longitude


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    pieces = getattr(geometry, "geoms", (geometry,))
    return [piece for piece in pieces if isinstance(piece, Polygon) and not piece.is_empty]


def _merged(parts: list[Polygon], remarks: list[str]) -> list[Polygon]:
    """The same area without overlaps and shared edges between the parts."""
    whole = MultiPolygon(parts)
    if whole.is_valid:
        return parts
    if sum(len(ring.coords) for part in parts for ring in (part.exterior, *part.interiors)) > MERGED_VERTICES:
        found = re.search(r"\[(\S+) (\S+)\]", explain_validity(whole))
        where = f" at longitude {float(found[1]):.10g}, latitude {float(found[2]):.10g}" if found else ""
        raise AoiInvalid(f"polygons overlap or share an edge{where}; merge them before sending", field="/aoi")
    merged = [orient(part) for part in _polygons(union_all(parts))]
    remarks.append(f"polygons overlap or share an edge; {len(parts)} merged into {len(merged)}")
    return merged


def _geojson(parts: Sequence[Polygon], *, many: bool) -> dict[str, object]:
    coordinates = [[_lists(ring.coords) for ring in (part.exterior, *part.interiors)] for part in parts]
    if many:
        return {"type": "MultiPolygon", "coordinates": coordinates}
    return {"type": "Polygon", "coordinates": coordinates[0]}


def _lists(positions: Iterable[Position]) -> list[list[float]]:
    return [[longitude, latitude] for longitude, latitude in positions]


def _bbox(parts: Sequence[Polygon]) -> tuple[float, float, float, float]:
    """West > east where parts meet at the antimeridian: around the widest gap between them (RFC 7946, 5.2)."""
    spans = sorted((part.bounds[0], part.bounds[2]) for part in parts)
    south, north = min(part.bounds[1] for part in parts), max(part.bounds[3] for part in parts)
    west, east = spans[0][0], max(end for _, end in spans)
    if west > -180 or east < 180:
        return (west, south, east, north)
    widest, reached = (0.0, west, east), spans[0][1]
    for start, end in spans[1:]:
        widest = max(widest, (start - reached, start, reached))
        reached = max(reached, end)
    return (widest[1], south, widest[2], north)
