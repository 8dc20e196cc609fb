"""What an order asks for, read from the body of its creation; what cannot be had is refused as recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import shapely
from rasterio.warp import transform_geom
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from imagery.sandbox.planet.bundles import BUNDLES, ITEM_TYPE
from imagery.sandbox.planet.catalogue import PlanetScene
from imagery.sandbox.planet.refusals import Refusal, no_acceptable_assets, unacceptable_order

MAX_ITEMS = 500
MAX_VERTICES = 1500
TOOLS = frozenset(
    {"bandmath", "clip", "composite", "coregister", "file_format", "reproject", "tile", "toar", "harmonize"}
)
APPLIED = frozenset({"clip", "file_format", "harmonize", "toar"})
"""Tools whose files are made here; harmonize and toar leave the numbers as they are, and only name the file."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One scene of an order, and the assets of it."""

    scene: PlanetScene
    bundle: str | None
    """None: the scene has all assets of none that was named."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be made."""

    name: str
    wanted: tuple[Wanted, ...]
    aoi: BaseGeometry | None = field(repr=False)
    """In degrees; None: whole scenes."""

    tools: tuple[str, ...]
    is_partial: bool
    is_zipped: bool
    webhook_url: str | None = field(repr=False)
    is_per_order: bool

    @property
    def hectares(self) -> float:
        """Of the AOI within each scene, as it is billed."""
        return sum(hectares(one.scene, self.aoi) for one in self.wanted if one.bundle)


def hectares(scene: PlanetScene, aoi: BaseGeometry | None) -> float:
    """Area of a scene within an AOI, in UTM's measure."""
    part = scene.outline if aoi is None else scene.outline.intersection(aoi)
    if part.is_empty:
        return 0.0
    longitude, latitude = part.centroid.x, part.centroid.y
    zone = f"EPSG:{32600 if latitude >= 0 else 32700}"
    utm = f"EPSG:{int(zone[5:]) + int((longitude + 180) // 6) + 1}"
    return float(shape(transform_geom("EPSG:4326", utm, shapely.geometry.mapping(part))).area) / 10_000


def parse_wish(body: object, scenes: Mapping[str, PlanetScene]) -> Wish:
    """`scenes` are those published, by id. Raises Refusal."""
    if not isinstance(body, Mapping):
        raise unacceptable_order("Details", "the body is no JSON object")
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise unacceptable_order("Name", "Name is required")
    if body.get("order_type", "full") not in ("full", "partial"):
        raise unacceptable_order("OrderType", f"Bad order type '{body['order_type']}'")
    wanted = tuple(one for product in _products(body) for one in _wanted(product, scenes))
    if not any(one.bundle for one in wanted):
        raise no_acceptable_assets()
    tools = _tools(body.get("tools"))
    webhook = _webhook(body.get("notifications"))
    return Wish(
        name=name,
        wanted=wanted,
        aoi=_aoi(tools["clip"]) if "clip" in tools else None,
        tools=tuple(tools),
        is_partial=body.get("order_type") == "partial",
        is_zipped=_is_zipped(body.get("delivery")),
        webhook_url=webhook.get("url"),
        is_per_order=bool(webhook.get("per_order")),
    )


def _products(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    products = body.get("products")
    if not isinstance(products, list) or not products or not all(isinstance(one, Mapping) for one in products):
        raise unacceptable_order("Products", "Products is required")
    return products


def _wanted(product: Mapping[str, Any], scenes: Mapping[str, PlanetScene]) -> list[Wanted]:
    ids, item_type, named = product.get("item_ids"), product.get("item_type"), str(product.get("product_bundle"))
    if not isinstance(ids, list) or not ids or not item_type or not all(isinstance(one, str) and one for one in ids):
        raise unacceptable_order("Products", "Item ID or Item Type empty")
    bundles = named.split(",")
    unknown = [one for one in bundles if one not in BUNDLES]
    if item_type != ITEM_TYPE or unknown:
        raise unacceptable_order("Products", f"Bad item type '{item_type}' for bundle type '{(unknown or bundles)[0]}'")
    if len(ids) > MAX_ITEMS:
        raise unacceptable_order("Products", f"Too many item IDs: {len(ids)}, at most {MAX_ITEMS} are allowed")
    missing = [one for one in ids if one not in scenes]
    if missing:
        raise unacceptable_order(
            "Details", *(f"Item ID {one} / Item Type {item_type} doesn't exist" for one in missing)
        )
    return [Wanted(scene=scenes[one], bundle=_bundle(scenes[one], bundles)) for one in dict.fromkeys(ids)]


def _bundle(scene: PlanetScene, bundles: list[str]) -> str | None:
    return next((one for one in bundles if all(key in scene.files for key in BUNDLES[one])), None)


def _tools(tools: object) -> dict[str, Any]:
    if tools is None:
        return {}
    if not isinstance(tools, list) or not all(isinstance(one, Mapping) and len(one) == 1 for one in tools):
        raise unacceptable_order("Tools", "each tool is an object of one name")
    found = {name: options for one in tools for name, options in one.items()}
    for name in found:
        if name not in TOOLS:
            raise unacceptable_order("Tools", f"Unknown tool '{name}'")
        if name not in APPLIED:
            raise unacceptable_order("Tools", f"The sandbox does not apply '{name}'; it has {sorted(APPLIED)}")
    return found


def read_polygon(document: object) -> BaseGeometry | None:
    """GeoJSON Polygon or MultiPolygon; None: it is not one, or is empty, or crosses itself."""
    if not isinstance(document, Mapping) or document.get("type") not in ("Polygon", "MultiPolygon"):
        return None
    try:
        geometry = shape(document)
    except (ShapelyError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None
    return geometry if geometry.is_valid and not geometry.is_empty else None


def _aoi(options: object) -> BaseGeometry:
    geometry = read_polygon(options.get("aoi") if isinstance(options, Mapping) else None)
    if geometry is None:
        raise unacceptable_order("Tools", "clip: aoi must be a valid GeoJSON Polygon or MultiPolygon")
    vertices = shapely.get_num_coordinates(geometry)
    if vertices > MAX_VERTICES:
        raise unacceptable_order("Tools", f"clip: aoi has {vertices} vertices, at most {MAX_VERTICES} are allowed")
    return geometry


def _is_zipped(delivery: object) -> bool:
    if not isinstance(delivery, Mapping):
        return False
    if set(delivery) - {"archive_type", "archive_filename", "single_archive"}:
        # Recorded for a cloud delivery; there are no buckets here to deliver to.
        raise Refusal(400, {"code": 602, "message": "credentials in body is required"})
    return delivery.get("archive_type") == "zip"


def _webhook(notifications: object) -> Mapping[str, Any]:
    webhook = notifications.get("webhook") if isinstance(notifications, Mapping) else None
    if not isinstance(webhook, Mapping):
        return {}
    try:
        scheme = urlsplit(str(webhook.get("url"))).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise unacceptable_order("Notifications", "webhook: url must be http or https")
    return webhook
