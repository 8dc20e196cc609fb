"""An item of Planet's Data API as a STAC item, and an item type as a collection. Pure: no socket."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pystac

from imagery.errors import ProviderAnswerInvalid
from imagery.providers.stac_items import parse_item
from imagery.raster.band_names import PLANET

BANDS: Mapping[str, tuple[str, ...]] = {**PLANET, "3b": ("red", "green", "blue")}
UDM2_BANDS = ("clear", "snow", "shadow", "light_haze", "heavy_haze", "cloud", "confidence", "unusable")
"""docs.planet.com, UDM 2.1: bands 1 to 8 of ortho_udm2."""

COMMON_NAMES = frozenset({"coastal", "blue", "green", "yellow", "red", "rededge", "nir"})

_DOWNLOAD = re.compile(r"assets\..+:download")
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"

_RENAMED = {
    "updated": "updated",
    "published": "created",
    "gsd": "gsd",
    "sun_azimuth": "view:sun_azimuth",
    "sun_elevation": "view:sun_elevation",
    "satellite_azimuth": "view:azimuth",
}


def to_item(feature: Mapping[str, Any], *, url: str) -> pystac.Item:
    """A feature of a quick-search, or an item got by its id, found below the root `url`.

    Assets are those the key may download; their hrefs name them at the API, where no pixel can be read: they have to be
    ordered. Planet's own properties are kept as `pl:*`. Raises ProviderAnswerInvalid.
    """
    try:
        properties, item_id = feature["properties"], str(feature["id"])
        item_type = str(properties["item_type"])
        document = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": item_id,
            "geometry": feature["geometry"],
            "bbox": _bbox(feature["geometry"]),
            "collection": item_type,
            "properties": _properties(properties),
            "assets": {key: _asset(key, f"{url}{item_path(item_type, item_id)}") for key in downloadable(feature)},
            "links": [],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProviderAnswerInvalid(f"Planet gave an item that is none: {type(error).__name__}: {error}") from error
    return parse_item(document, url=f"{url}{item_path(item_type, item_id)}")


def to_collection(item_type: Mapping[str, Any], *, url: str) -> pystac.Collection:
    """What `GET /data/v1/item-types/{type}` says. Raises ProviderAnswerInvalid."""
    name = item_type.get("id")
    keys = item_type.get("supported_asset_types")
    if not isinstance(name, str) or not name or not isinstance(keys, list):
        raise ProviderAnswerInvalid("Planet gave an item type without an id or its asset types")
    since = datetime(2009, 1, 1, tzinfo=UTC)  # RapidEye, the oldest there is
    extent = pystac.Extent(pystac.SpatialExtent([-180.0, -90.0, 180.0, 90.0]), pystac.TemporalExtent([[since, None]]))
    collection = pystac.Collection(
        name, str(item_type.get("display_description") or item_type.get("display_name") or name), extent
    )
    collection.title = str(item_type.get("display_name") or name)
    collection.license = "other"
    collection.extra_fields["item_assets"] = {
        str(key): {name: value for name, value in _asset(str(key), "").items() if name != "href"} for key in keys
    }
    collection.set_self_href(f"{url}/data/v1/item-types/{quote(name, safe='')}")
    return collection


def item_path(item_type: str, item_id: str) -> str:
    """Below the API's root."""
    return f"/data/v1/item-types/{quote(item_type, safe='')}/items/{quote(item_id, safe='')}"


def downloadable(feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Asset keys that are there and that the key may download."""
    permissions = [str(one) for one in feature.get("_permissions") or ()]
    allowed = [one[len("assets.") : -len(":download")] for one in permissions if _DOWNLOAD.fullmatch(one)]
    there = feature.get("assets")
    # Answers of 2021 do not list them apart from what is allowed.
    return tuple(key for key in allowed if not isinstance(there, list) or key in there)


def bands_of(asset_key: str) -> tuple[str, ...]:
    """Names of an asset's bands in the file's order; empty where they are not known."""
    if "udm2" in asset_key:
        return UDM2_BANDS
    if "visual" in asset_key:
        return BANDS["3b"]
    return next((bands for size, bands in BANDS.items() if f"_{size}" in asset_key), ())


def _asset(key: str, item_url: str) -> dict[str, Any]:
    is_raster = not key.endswith(("_xml", "_rpc", "_nitf", "_json"))
    asset: dict[str, Any] = {
        "href": f"{item_url}/assets/{quote(key, safe='')}",
        "type": _COG if is_raster else "application/xml" if key.endswith("_xml") else "application/octet-stream",
        "roles": _roles(key, is_raster=is_raster),
    }
    bands = [_band(name) for name in bands_of(key)] if is_raster else []
    return asset | ({"eo:bands": bands} if bands else {})


def _roles(key: str, *, is_raster: bool) -> list[str]:
    if not is_raster:
        return ["metadata"]
    if "udm" in key:
        return ["data", "cloud"]
    if key.endswith("_sr"):
        return ["data", "reflectance"]
    return ["visual"] if "visual" in key else ["data"]


def _band(name: str) -> dict[str, str]:
    return {"name": name} | ({"common_name": name} if name in COMMON_NAMES else {})


def _properties(said: Mapping[str, Any]) -> dict[str, Any]:
    kept = {ours: said[theirs] for theirs, ours in _RENAMED.items() if said.get(theirs) is not None}
    own = {f"pl:{name}": value for name, value in said.items() if name not in _RENAMED and name != "acquired"}
    if said.get("published") is not None:
        kept.setdefault("updated", said["published"])
    cover = said.get("cloud_percent")
    if cover is None and isinstance(said.get("cloud_cover"), int | float):
        cover = 100.0 * said["cloud_cover"]
    return {
        "datetime": said["acquired"],
        "constellation": str(said.get("provider", "planet")),
        **({"platform": str(said["satellite_id"])} if said.get("satellite_id") else {}),
        **({"instruments": [str(said["instrument"])]} if said.get("instrument") else {}),
        **({"view:off_nadir": abs(float(said["view_angle"]))} if said.get("view_angle") is not None else {}),
        **({"eo:cloud_cover": float(cover)} if isinstance(cover, int | float) else {}),
        **kept,
        **own,
    }


def _bbox(geometry: Mapping[str, Any]) -> list[float]:
    positions = list(_positions(geometry["coordinates"]))
    longitudes, latitudes = [one[0] for one in positions], [one[1] for one in positions]
    west, east = min(longitudes), max(longitudes)
    if geometry["type"] == "MultiPolygon" and west <= -180.0 and east >= 180.0:
        # Split at the antimeridian, as GeoJSON asks for: the box goes over it.
        west, east = min(one for one in longitudes if one > 0), max(one for one in longitudes if one < 0)
    return [west, min(latitudes), east, max(latitudes)]


def _positions(coordinates: Sequence[Any]) -> Any:
    if coordinates and isinstance(coordinates[0], int | float):
        yield coordinates
        return
    for part in coordinates:
        yield from _positions(part)
