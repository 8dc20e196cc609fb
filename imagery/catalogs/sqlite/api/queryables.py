"""What a filter may ask for, as JSON Schema. Other properties may be asked for too; unknown ones match nothing."""

from __future__ import annotations

from typing import Any

from stac_fastapi.extensions.filter.client import BaseFiltersClient
from starlette.requests import Request

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.api.answers import own_url
from imagery.catalogs.sqlite.store import CatalogStore


def _text(title: str) -> dict[str, Any]:
    return {"title": title, "type": "string"}


def _number(title: str, **limits: float) -> dict[str, Any]:
    return {"title": title, "type": "number", **limits}


def _fraction(title: str) -> dict[str, Any]:
    return _number(f"{title}, fraction of the AOI's pixels", minimum=0, maximum=1)


def _percent(title: str) -> dict[str, Any]:
    return _number(f"{title}, percent", minimum=0, maximum=100)


def _instant(title: str) -> dict[str, Any]:
    return {"title": title, "type": "string", "format": "date-time"}


QUERYABLES: dict[str, dict[str, Any]] = {
    "id": _text("Item id"),
    "collection": _text("Collection id"),
    "geometry": {"title": "Footprint", "$ref": "https://geojson.org/schema/Geometry.json"},
    "datetime": _instant("Acquired"),
    "start_datetime": _instant("Acquisition began"),
    "end_datetime": _instant("Acquisition ended"),
    "created": _instant("Item published"),
    "updated": _instant("Item last changed"),
    "platform": _text("Satellite"),
    "constellation": _text("Constellation"),
    "gsd": _number("Ground sample distance, metres", exclusiveMinimum=0),
    "grid:code": _text("Grid square, as MGRS-33TVM"),
    "eo:cloud_cover": _percent("Cloud cover of what is shown of the AOI; of the whole scene where it was not measured"),
    "eo:snow_cover": _percent("Snow cover of what is shown of the AOI; of the whole scene where it was not measured"),
    "view:off_nadir": _number("Angle off nadir, degrees", minimum=0, maximum=90),
    "view:sun_elevation": _number("Sun above the horizon, degrees", minimum=-90, maximum=90),
    "proj:code": _text("Coordinate reference system, as EPSG:32633"),
    "processing:version": _text("Processing baseline"),
    "imagery:subscription_id": _text("Subscription that asked for it"),
    "imagery:owner": _text("Owner of that subscription"),
    "imagery:provider": _text("Provider it came from"),
    "imagery:source_item": _text("Provider's item it was cut from; of a mosaic, the one on top"),
    "imagery:acquisition": _text("Acquisition: the same for all tiles and processings of one datatake"),
    "imagery:coverage": _fraction("Shown by the acquisition"),
    "imagery:clear_fraction": _fraction("Shown clear, land or water"),
    "imagery:cloud_fraction": _fraction("Cloud, cirrus and haze"),
    "imagery:shadow_fraction": _fraction("Cloud shadow"),
    "imagery:snow_fraction": _fraction("Snow or ice"),
    "imagery:water_fraction": _fraction("Water shown clear"),
    "imagery:unknown_fraction": _fraction("Saturated, defective or of no known class"),
    "imagery:nodata_fraction": _fraction("Not shown"),
    "imagery:scene_cloud_cover": _percent("Cloud cover of the whole scene as its provider estimates it"),
    "version": _text("Version of the product, counted from 1"),
    "deprecated": {"title": "Whether another item has taken its place; absent if none has", "type": "boolean"},
    "expires": _instant("When a deprecated item is removed"),
}


class Queryables(BaseFiltersClient):
    """GET /queryables and /collections/{id}/queryables; open to all."""

    def __init__(self, *, store: CatalogStore, access: Access) -> None:
        super().__init__()
        self._store = store
        self._access = access

    def get_queryables(self, collection_id: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """The same of every collection. Raises CollectionUnknown, but not to those who may not know."""
        request: Request = kwargs["request"]
        if collection_id is not None and (self._access.public or self._access.caller_of(request) is not None):
            self._store.get_collection(collection_id, owner=self._access.scope(request))
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": own_url(request),
            "type": "object",
            "title": "Queryables",
            "properties": QUERYABLES,
            "additionalProperties": True,
        }
