"""One source item and what was cut from it for one subscription → the item we publish."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pystac

from imagery.errors import ItemInvalid
from imagery.items.assets import published_asset, published_thumbnail
from imagery.items.checks import to_rfc3339
from imagery.items.cut import CutAsset
from imagery.items.extensions import used_extensions
from imagery.items.footprint import bbox_of
from imagery.items.links import kept_links, source_link
from imagery.items.names import published_item_id
from imagery.items.properties import is_sentinel_2, kept_properties
from imagery.model.subscription import Subscription

SOFTWARE = "imagery"
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")


def make_item(
    *,
    source: pystac.Item,
    subscription: Subscription,
    collection_id: str,
    assets: Sequence[CutAsset],
    thumbnail: CutAsset | None = None,
    geometry: Mapping[str, Any],
    coverage: float,
    created_at: datetime,
    updated_at: datetime,
    software_version: str,
) -> pystac.Item:
    """A STAC 1.1 item that declares exactly the extensions it uses; the same arguments give the same JSON.

    `geometry` is the footprint of the clip's data (GeoJSON, EPSG:4326, split at the antimeridian), `coverage` the
    fraction of the AOI's pixels that hold data. What is kept of the source is what stays true of a part of it:
    `eo:cloud_cover` is the scene's. Links of the catalog's tree (self, parent, root, collection) are the API's to add.

    Raises ItemInvalid if the footprint, the coverage or the assets cannot be published.
    """
    bbox = bbox_of(geometry)
    _check([*assets, *([thumbnail] if thumbnail else [])], coverage)
    crs = _common_crs(assets)
    published = _assets(source, assets, thumbnail, item_has_code=crs is not None)
    properties = {
        "created": to_rfc3339(created_at),
        "updated": to_rfc3339(updated_at),
        **kept_properties(source.properties),
        **_times(source),
        **_processing(source, subscription, updated_at, software_version),
        **({"proj:code": crs} if crs is not None else {}),
        **_ours(source, subscription, coverage),
    }
    item = pystac.Item(
        id=published_item_id(source.id, subscription.id),
        geometry={"type": geometry["type"], "coordinates": geometry["coordinates"]},
        bbox=list(bbox),
        datetime=source.datetime,
        properties=properties,
        stac_extensions=used_extensions({"properties": properties, "assets": published}),
        collection=collection_id,
        assets={key: pystac.Asset.from_dict(asset) for key, asset in published.items()},
    )
    origin = source_link(source, media_type="application/geo+json")
    item.add_links([*([origin] if origin else []), *kept_links(source)])
    return item


def _ours(source: pystac.Item, subscription: Subscription, coverage: float) -> dict[str, Any]:
    return {
        "imagery:subscription_id": subscription.id,
        "imagery:owner": subscription.owner,
        "imagery:provider": subscription.provider,
        "imagery:source_item": source.id,
        "imagery:coverage": round(coverage, 6),
    }


def _times(source: pystac.Item) -> dict[str, Any]:
    """When it was acquired. A DEM or a radar pass has a range, with or without an instant."""
    names = ("start_datetime", "end_datetime")
    span = {name: text for name in names if (text := to_rfc3339(source.properties.get(name)))}
    # The standard wants both or neither.
    whole = span if len(span) == len(names) else {}
    if source.datetime is None and not whole:
        raise ItemInvalid(f"source item {source.id} says neither when it was acquired nor a range", field="/properties")
    return {"datetime": to_rfc3339(source.datetime)} | whole


def _processing(source: pystac.Item, subscription: Subscription, at: datetime, software_version: str) -> dict[str, Any]:
    before = source.properties.get("processing:software")
    named = before.items() if isinstance(before, Mapping) else ()
    return {
        "processing:datetime": to_rfc3339(at),
        "processing:lineage": (
            f"{source.id} cut to the area of {subscription.id} on the source's own grid; pixels outside it are nodata"
        ),
        "processing:software": {
            **{str(name): version for name, version in named if isinstance(version, str) and name},
            SOFTWARE: software_version,
        },
    }


def _assets(
    source: pystac.Item, assets: Sequence[CutAsset], thumbnail: CutAsset | None, *, item_has_code: bool
) -> dict[str, dict[str, Any]]:
    sentinel_2 = is_sentinel_2(source.properties)
    said = {key: asset.to_dict() for key, asset in source.assets.items()}
    published = {cut.key: published_asset(cut, said.get(cut.key, {}), sentinel_2=sentinel_2) for cut in assets}
    if thumbnail is not None:
        published[thumbnail.key] = published_thumbnail(thumbnail, item_has_code=item_has_code)
    return published


def _common_crs(assets: Sequence[CutAsset]) -> str | None:
    """The CRS all of them are in: repeated in the properties, where searches filter on it."""
    codes = {cut.crs for cut in assets}
    return codes.pop() if len(codes) == 1 else None


def _check(assets: Sequence[CutAsset], coverage: float) -> None:
    if not assets:
        raise ItemInvalid("an item needs at least one asset", field="/assets")
    keys = [cut.key for cut in assets]
    if len(set(keys)) != len(keys):
        raise ItemInvalid(f"two assets have one key, of {', '.join(sorted(keys))}", field="/assets")
    for cut in assets:
        if not _SHA256.fullmatch(cut.sha256):
            raise ItemInvalid(f"{cut.sha256!r} is not a SHA-256 in hex", field=f"/assets/{cut.key}/file:checksum")
    if not math.isfinite(coverage) or not 0 <= coverage <= 1:
        raise ItemInvalid(f"coverage is a fraction from 0 to 1, not {coverage}", field="/properties/imagery:coverage")
