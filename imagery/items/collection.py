"""The collection our clips of a source collection are published in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pystac

from imagery.items.assets import described_asset
from imagery.items.bands import bands_of
from imagery.items.checks import is_plain
from imagery.items.cut import COG_MEDIA_TYPE, PNG_MEDIA_TYPE
from imagery.items.extensions import used_in_item_assets
from imagery.items.links import kept_links, source_link
from imagery.items.names import published_collection_id
from imagery.items.properties import is_sentinel_2

PROCESSOR = pystac.Provider(
    name="imagery",
    description="Cuts scenes to the areas of subscriptions and publishes them",
    roles=[pystac.ProviderRole.PROCESSOR],
)

_SUMMARISED = ("platform", "constellation", "instruments", "gsd")
_LICENSE = re.compile(r"[\w\-.+]+")
_GONE_LICENSES = {"proprietary": "other", "various": "other"}
"""STAC 1.1 took these words back."""


def collection_for(source: pystac.Collection | None, collection_id: str, provider: str) -> pystac.Collection:
    """A STAC 1.1 collection for clips of `source` (None: nothing is known of it) that `provider` gives.

    `collection_id` is the source's; the id of the collection made is its `published_collection_id`.

    Its extent is a placeholder, the whole world from the source's first instant on: the catalog keeps the true one.
    """
    fields: dict[str, Any] = source.to_dict(include_self_link=False, transform_hrefs=False) if source else {}
    item_assets = _item_assets(fields)
    summaries = _summaries(fields) | {"imagery:provider": [provider]}
    collection = pystac.Collection(
        id=published_collection_id(collection_id),
        title=f"{(source.title if source else None) or collection_id}, clipped",
        description=_description(source, collection_id, provider),
        license=_license(fields.get("license")),
        keywords=list(dict.fromkeys([*(source.keywords or [] if source else []), "clip"])),
        providers=[*(source.providers or [] if source else []), PROCESSOR],
        extent=_placeholder(source),
        summaries=pystac.Summaries(summaries),
        stac_extensions=used_in_item_assets(item_assets),
        extra_fields={"item_assets": item_assets},
    )
    if source is not None:
        origin = source_link(source, media_type="application/json")
        collection.add_links([*([origin] if origin else []), *kept_links(source)])
    return collection


def _description(source: pystac.Collection | None, collection_id: str, provider: str) -> str:
    about = (source.description if source else "").strip()
    cut = f"Clips of `{collection_id}` from {provider}, each cut to the area of one subscription."
    return f"{cut}\n\n{about}" if about else cut


def _license(said: object) -> str:
    word = _GONE_LICENSES.get(said, said) if isinstance(said, str) else "other"
    return word if _LICENSE.fullmatch(word) else "other"


def _summaries(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is true of every clip; ranges of angles and clouds are the whole archive's, not ours."""
    said = fields.get("summaries") or {}
    kept = {name: said[name] for name in _SUMMARISED if isinstance(said.get(name), list) and is_plain(said[name])}
    bands = bands_of(said, ())
    return kept | ({"bands": bands} if bands else {})


def _item_assets(fields: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those that can be cut. Scale and offset are left to the items: they differ between processing baselines."""
    said = fields.get("item_assets")
    summaries = fields.get("summaries") or {}
    constellations = summaries.get("constellation")
    sentinel_2 = isinstance(constellations, list) and any(is_sentinel_2({"constellation": c}) for c in constellations)
    assets = {
        str(key): {"type": COG_MEDIA_TYPE} | described_asset(str(key), asset, sentinel_2=sentinel_2)
        for key, asset in (said.items() if isinstance(said, Mapping) else ())
        if isinstance(asset, Mapping) and _is_raster(asset)
    }
    return assets | {"thumbnail": {"type": PNG_MEDIA_TYPE, "title": "Thumbnail", "roles": ["thumbnail"]}}


def _is_raster(asset: Mapping[str, Any]) -> bool:
    media_type = asset.get("type")
    pictures = {"thumbnail", "overview"} & set(asset.get("roles") or ())
    return isinstance(media_type, str) and media_type.startswith(("image/tiff", "image/jp2")) and not pictures


def _placeholder(source: pystac.Collection | None) -> pystac.Extent:
    starts = [interval[0] for interval in source.extent.temporal.intervals if interval[0]] if source else []
    start = min(starts) if starts else datetime(1970, 1, 1, tzinfo=UTC)
    return pystac.Extent(
        spatial=pystac.SpatialExtent([[-180.0, -90.0, 180.0, 90.0]]),
        temporal=pystac.TemporalExtent([[start, None]]),
    )
