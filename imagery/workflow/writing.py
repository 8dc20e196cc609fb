"""A finished draft as objects and an item; nothing is written before all of it is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pystac

from imagery import __version__
from imagery.errors import ImageryError
from imagery.items import CutAsset, make_item
from imagery.ports import Catalog, ObjectStore, ProductStore, Together
from imagery.workflow.draft import Draft
from imagery.workflow.filtering import numbers_of
from imagery.workflow.finishing import left_out_of, order_of
from imagery.workflow.products import Identity, give_up, identify
from imagery.workflow.share import MAX_EXPLANATION, Entry

THUMBNAIL = "thumbnail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Writer:
    """Where a delivery is written to, and where it is known from."""

    objects: ObjectStore
    catalog: Catalog
    products: ProductStore
    together: Together

    def write(self, draft: Draft, outline: Mapping[str, Any]) -> Entry:
        """`outline` is the footprint of its data."""
        assets, picture = [draft.assets[key] for key in order_of(draft)], draft.thumbnail()
        identity = identify(
            draft.share,
            sources=[item.id for item in draft.sources],
            checksums={asset.key: asset.sha256 for asset in assets},
            numbers=_numbers(draft, assets),
            products=self.products,
            together=self.together,
        )
        product = identity.product
        earlier = self.catalog.get(product.collection_id, product.item_id)
        born = (earlier.common_metadata.created if earlier else None) or draft.share.now
        placed = [replace(asset, href=self._href(product.prefix, asset.key)) for asset in assets]
        pictured = self._thumbnail(product.prefix, picture)
        item = _item(draft, identity, assets=placed, thumbnail=pictured, outline=outline, created_at=born)
        try:
            item_key = self._put(draft, item, product.prefix, picture)
        except ImageryError:
            with suppress(ImageryError):
                # Objects that nobody else speaks of need not wait until somebody looks for what was forgotten.
                if earlier is None and give_up(identity, products=self.products, together=self.together):
                    self.objects.remove_prefix(product.prefix)
            raise
        return _remarked(draft.share.delivered(product, item_key=item_key, left_out=left_out_of(draft)), draft)

    def _put(self, draft: Draft, item: pystac.Item, prefix: str, picture: bytes) -> str:
        """The assets, the picture, and last the item, whose key it gives."""
        for key, path in draft.files.items():
            self.objects.put(_object_key(prefix, key), path.read_bytes(), media_type=pystac.MediaType.COG)
        self.objects.put(f"{prefix}/{THUMBNAIL}.png", picture, media_type=pystac.MediaType.PNG)
        item_key = f"{prefix}/item.json"
        body = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)).encode()
        self.objects.put(item_key, body, media_type=pystac.MediaType.GEOJSON)
        return item_key

    def _href(self, prefix: str, key: str) -> str:
        return self.objects.href(_object_key(prefix, key))

    def _thumbnail(self, prefix: str, picture: bytes) -> CutAsset:
        return CutAsset(
            key=THUMBNAIL,
            href=self.objects.href(f"{prefix}/{THUMBNAIL}.png"),
            media_type=pystac.MediaType.PNG,
            body_size=len(picture),
            sha256=hashlib.sha256(picture).hexdigest(),
        )


def _object_key(prefix: str, key: str) -> str:
    """Where an asset will be."""
    return f"{prefix}/{key}.tif"


def _numbers(draft: Draft, assets: Sequence[CutAsset]) -> dict[str, float]:
    return numbers_of(
        draft.quality,
        draft.coverage,
        pixels=float(draft.valid_pixels),
        bytes=float(sum(asset.body_size for asset in assets)),
        bytes_read=float(draft.bytes_read),
    )


def _remarked(entry: Entry, draft: Draft) -> Entry:
    """Saying why nothing was counted over the AOI, where that is not for lack of a quality band."""
    if draft.trouble is None:
        return entry
    why = f"; nothing was counted in its quality band: {draft.trouble}"[:MAX_EXPLANATION]
    return replace(entry, outcome=replace(entry.outcome, explanation=f"{entry.outcome.explanation}{why}"))


def _item(
    draft: Draft,
    identity: Identity,
    *,
    assets: Sequence[CutAsset],
    thumbnail: CutAsset,
    outline: Mapping[str, Any],
    created_at: datetime,
) -> pystac.Item:
    share, product = draft.share, identity.product
    return make_item(
        source=draft.sources[0],
        sources=draft.sources,
        subscription=share.subscription,
        collection_id=product.collection_id,
        item_id=product.item_id,
        assets=assets,
        thumbnail=thumbnail,
        geometry=outline,
        coverage=draft.coverage,
        quality=draft.quality,
        processing=share.subscription.processing,
        version=product.version,
        predecessor=identity.predecessor,
        acquisition=product.acquisition,
        created_at=created_at,
        updated_at=share.now,
        software_version=__version__,
    )
