"""Source items and what was cut from them for one subscription → the item we publish."""

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
from imagery.items.lineage import lineage_of, options_of
from imagery.items.links import kept_links, source_links
from imagery.items.measured import measured
from imagery.items.names import product_name, published_item_id
from imagery.items.offset import with_true_flag
from imagery.items.properties import common_properties, is_sentinel_2
from imagery.items.versions import sibling_link, version_of
from imagery.model.processing import Processing
from imagery.model.quality import Quality
from imagery.model.subscription import Subscription

SOFTWARE = "imagery"
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_AS_IT_IS = Processing()


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
    item_id: str | None = None,
    sources: Sequence[pystac.Item] = (),
    quality: Quality | None = None,
    version: int = 1,
    predecessor: str | None = None,
    acquisition: str | None = None,
    processing: Processing = _AS_IT_IS,
) -> pystac.Item:
    """A STAC 1.1 item that declares exactly the extensions it uses; the same arguments give the same JSON.

    `geometry` is the footprint of the clip's data (GeoJSON, EPSG:4326, split at the antimeridian), `coverage` the
    fraction of the AOI's pixels that hold data; `quality`, where its band was read, is believed before it. `sources`
    are all source items of a mosaic, `source` first; empty: that one alone. `predecessor` is the item of ours that
    this one takes the place of; `item_id` is None for the one that `product_name` gives. What is kept of the sources is
    what stays true of a part of them. Links of the catalog's tree (self, parent, root, collection) are the API's.

    Raises ItemInvalid if the footprint, the coverage, the assets, the sources or the version cannot be published.
    """
    bbox = bbox_of(geometry)
    _check([*assets, *([thumbnail] if thumbnail else [])], coverage)
    sources = _checked_sources(source, sources)
    ids = [one.id for one in sources]
    crs = _common_crs(assets)
    published = _assets(sources, assets, thumbnail, item_has_code=crs is not None)
    lineage = lineage_of(ids, subscription.id, processing, band=quality.band if quality else None)
    properties = {
        "created": to_rfc3339(created_at),
        "updated": to_rfc3339(updated_at),
        **_seen(sources, assets, quality, coverage),
        **_times(sources),
        **version_of(version),
        **_processing(sources, lineage, updated_at, software_version),
        **({"proj:code": crs} if crs is not None else {}),
        **_ours(ids, subscription, acquisition, processing),
    }
    item = pystac.Item(
        id=item_id if item_id is not None else published_item_id(product_name(ids, version), subscription.id),
        geometry={"type": geometry["type"], "coordinates": geometry["coordinates"]},
        bbox=list(bbox),
        datetime=source.datetime,
        properties=properties,
        stac_extensions=used_extensions({"properties": properties, "assets": published}),
        collection=collection_id,
        assets={key: pystac.Asset.from_dict(asset) for key, asset in published.items()},
    )
    before = [sibling_link("predecessor-version", predecessor)] if predecessor is not None else []
    item.add_links([*source_links(sources), *kept_links(*sources), *before])
    return item


def _checked_sources(source: pystac.Item, sources: Sequence[pystac.Item]) -> Sequence[pystac.Item]:
    ids = [one.id for one in sources]
    if not ids:
        return (source,)
    if ids[0] != source.id or len(set(ids)) != len(ids):
        raise ItemInvalid(
            f"a mosaic's sources are {source.id} and then others, each once, not {ids}",
            field="/properties/imagery:source_items",
        )
    return sources


def _seen(
    sources: Sequence[pystac.Item], assets: Sequence[CutAsset], quality: Quality | None, coverage: float
) -> dict[str, Any]:
    kept = common_properties([one.properties for one in sources])
    return measured(with_true_flag(kept, assets), quality, coverage)


def _ours(
    ids: Sequence[str], subscription: Subscription, acquisition: str | None, processing: Processing
) -> dict[str, Any]:
    options = options_of(processing)
    return {
        "imagery:subscription_id": subscription.id,
        "imagery:owner": subscription.owner,
        "imagery:provider": subscription.provider,
        "imagery:source_item": ids[0],
        "imagery:source_items": list(ids),
        **({"imagery:acquisition": acquisition} if acquisition else {}),
        **({"imagery:processing": options} if options else {}),
    }


def _times(sources: Sequence[pystac.Item]) -> dict[str, Any]:
    """When it was acquired. A DEM, a radar pass or a mosaic has a range, with or without an instant."""
    instant = to_rfc3339(sources[0].datetime)
    spans = [span for source in sources if (span := _span(source)) is not None]
    if instant is None and _span(sources[0]) is None:
        raise ItemInvalid(
            f"source item {sources[0].id} says neither when it was acquired nor a range", field="/properties"
        )
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    said = any("start_datetime" in source.properties and "end_datetime" in source.properties for source in sources)
    if first == last and not said:
        return {"datetime": instant}
    return {"datetime": instant, "start_datetime": to_rfc3339(first), "end_datetime": to_rfc3339(last)}


def _span(source: pystac.Item) -> tuple[datetime, datetime] | None:
    """First and last instant: of its range if it gives both ends, as the standard wants, else its one instant twice."""
    ends = [to_rfc3339(source.properties.get(name)) for name in ("start_datetime", "end_datetime")]
    first, last = ends if all(ends) else [to_rfc3339(source.datetime)] * 2
    if first is None or last is None:
        return None
    return datetime.fromisoformat(first), datetime.fromisoformat(last)


def _processing(sources: Sequence[pystac.Item], lineage: str, at: datetime, software_version: str) -> dict[str, Any]:
    software: dict[str, str] = {}
    for source in sources:
        named = source.properties.get("processing:software")
        for name, version in named.items() if isinstance(named, Mapping) else ():
            if isinstance(version, str) and name:
                software.setdefault(str(name), version)
    return {
        "processing:datetime": to_rfc3339(at),
        "processing:lineage": lineage,
        "processing:software": {**software, SOFTWARE: software_version},
    }


def _assets(
    sources: Sequence[pystac.Item], assets: Sequence[CutAsset], thumbnail: CutAsset | None, *, item_has_code: bool
) -> dict[str, dict[str, Any]]:
    sentinel_2 = any(is_sentinel_2(source.properties) for source in sources)
    said: dict[str, dict[str, Any]] = {}
    for source in sources:
        for key, asset in source.assets.items():
            said.setdefault(key, asset.to_dict())
    published = {cut.key: published_asset(cut, said, sentinel_2=sentinel_2) for cut in assets}
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
