"""A STAC item taken apart for the catalog's tables, and put together again without parsing what is only passed on."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imagery.catalogs.sqlite.extents import Extent
from imagery.catalogs.sqlite.geometry import SENT, Box, Limits, footprint_of
from imagery.catalogs.sqlite.instants import parse_us
from imagery.errors import ItemInvalid

OWNER = "imagery:owner"
"""The item property that says whose it is."""

SUBSCRIPTION = "imagery:subscription_id"
"""The item property of what a subscription delivered."""

# The strictest of the STAC servers we may publish to: pgstac refuses any other character in an id.
_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
_MADE_LINKS = frozenset({"self", "item", "items", "parent", "collection", "root"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One item as the tables hold it. Instants in microseconds, degrees of EPSG:4326."""

    id: str
    collection: str
    owner: str
    """Empty: nobody's; only those who see everything see it."""

    dt: int
    t0: int
    t1: int
    bbox: tuple[float, float, float, float]
    boxes: tuple[Box, ...]
    vertices: int
    wkb: bytes
    props: str
    body: bytes
    """Links, a newline, everything else: compressed JSON."""

    @property
    def extent(self) -> Extent:
        return Extent.of(self.bbox, self.t0, self.t1)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredItem:
    """An item as it came, less the links that depend on where the catalog is served. JSON texts in UTF-8."""

    id: str
    collection: str
    owner: str
    properties: bytes
    links: bytes
    rest: bytes
    """The object of all other members; never empty."""

    @classmethod
    def of_row(cls, item_id: str, collection: str, owner: str, props: str, body: bytes) -> StoredItem:
        """From the columns of `items` and `bodies`."""
        links, _, rest = zlib.decompress(body).partition(b"\n")
        return cls(id=item_id, collection=collection, owner=owner, properties=props.encode(), links=links, rest=rest)

    def to_dict(self) -> dict[str, Any]:
        """The item's JSON."""
        return {
            "type": "Feature",
            "id": self.id,
            "collection": self.collection,
            "properties": json.loads(self.properties),
            "links": json.loads(self.links),
            **json.loads(self.rest),
        }


def records_of(items: Iterable[Mapping[str, Any]], *, limits: Limits = SENT) -> list[Record]:
    """Raises ItemInvalid."""
    records, vertices = [], 0
    for item in items:
        records.append(record_of(item, limits=limits))
        vertices += records[-1].vertices
        if vertices > limits.vertices_together:
            raise ItemInvalid(
                f"the items have more than {limits.vertices_together} vertices together; send fewer at once",
                field="/features",
            )
    return records


def record_of(item: Mapping[str, Any], *, limits: Limits = SENT) -> Record:
    """Raises ItemInvalid, naming the member that is wrong."""
    item_id = parse_id(item.get("id"), field="/id")
    collection = parse_id(item.get("collection"), field="/collection")
    properties = item.get("properties")
    if not isinstance(properties, dict):
        raise ItemInvalid(f"item {item_id}: properties is not an object", field="/properties")
    owner = properties.get(OWNER, "")
    if not isinstance(owner, str):
        raise ItemInvalid(f"item {item_id}: {OWNER} is not a text", field=f"/properties/{OWNER}")
    dt, t0, t1 = _instants(item_id, properties)
    try:
        footprint = footprint_of(item.get("geometry"), limits)
    except ValueError as error:
        raise ItemInvalid(f"item {item_id}: geometry: {error}", field="/geometry") from error
    rest = {k: v for k, v in item.items() if k not in ("type", "id", "collection", "properties", "links")}
    body = to_json(kept_links(item), field="/links") + "\n" + to_json(rest, field="/")
    props = to_json(properties, field="/properties")
    return Record(
        id=item_id,
        collection=collection,
        owner=owner,
        dt=dt,
        t0=t0,
        t1=t1,
        bbox=footprint.bbox,
        boxes=footprint.boxes,
        vertices=footprint.vertices,
        wkb=footprint.wkb,
        props=props,
        body=zlib.compress(body.encode(), 1),
    )


def parse_id(value: object, *, field: str) -> str:
    """An item's or collection's id. Raises ItemInvalid."""
    if not isinstance(value, str) or not _ID.fullmatch(value) or set(value) == {"."}:
        shown = repr(value)[:60]
        raise ItemInvalid(f"{field.strip('/')} {shown}: use 1 to 200 letters, digits and . _ -", field=field)
    return value


def kept_links(body: Mapping[str, Any]) -> list[Any]:
    """The links worth keeping: not those that say where this catalog is served. Raises ItemInvalid."""
    links = body.get("links", [])
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise ItemInvalid("links is not an array of objects", field="/links")
    return [link for link in links if link.get("rel") not in _MADE_LINKS]


def to_json(value: object, *, field: str) -> str:
    """Compact JSON that any reader takes. Raises ItemInvalid for NaN, lone surrogates and bottomless nesting."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ItemInvalid(f"{field}: it cannot be written as JSON ({error})", field=field) from error
    return text


def _instants(item_id: str, properties: Mapping[str, Any]) -> tuple[int, int, int]:
    """(datetime or start, start, end) in microseconds."""
    found: dict[str, int] = {}
    for name in ("datetime", "start_datetime", "end_datetime"):
        if properties.get(name) is not None:
            try:
                found[name] = parse_us(properties[name])
            except ValueError as error:
                raise ItemInvalid(f"item {item_id}: {name}: {error}", field=f"/properties/{name}") from error
    start, end = found.get("start_datetime"), found.get("end_datetime")
    if start is None or end is None:
        if "datetime" not in found:
            raise ItemInvalid(
                f"item {item_id}: datetime is null, so start_datetime and end_datetime are needed",
                field="/properties/datetime",
            )
        return (found["datetime"],) * 3
    if start > end:
        raise ItemInvalid(f"item {item_id}: start_datetime lies after end_datetime", field="/properties/start_datetime")
    dt = found.get("datetime", start)
    # A datetime outside its own range is odd, yet the item is to be found by it.
    return dt, min(start, dt), max(end, dt)
