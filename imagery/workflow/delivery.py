"""One source item over the AOIs of its subscribers: look, cut, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pystac

from imagery import __version__
from imagery.errors import AssetMissing, ImageryError
from imagery.items import CutAsset, make_item, published_collection_id
from imagery.ports import Catalog, ObjectStore
from imagery.raster.clip import clip_each
from imagery.raster.reading import Reading
from imagery.workflow.draft import Draft, declared_nodata
from imagery.workflow.share import Entry, Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutter:
    """Cuts one item for many subscriptions, opening each of its assets once and holding one clip at a time."""

    objects: ObjectStore
    catalog: Catalog
    max_clip_pixels: int

    def cut(self, shares: Sequence[Share]) -> tuple[Entry, ...]:
        """One entry a share; all are of one item.

        One subscriber's error is theirs alone; when every share fails, an error is raised, so that it can be tried
        again: the first that waiting can help, else the first. Encoded files wait in a temporary folder: objects are
        written only when all of a share's assets are cut, under keys derived from subscription and item. Cutting twice
        leaves what cutting once does, and what was delivered before is not touched by a try that fails.
        """
        refused = {share.subscription.id: share.refusal() for share in shares}
        with TemporaryDirectory(prefix="imagery-cut-", ignore_cleanup_errors=True) as folder:
            drafts = {
                share.subscription.id: Draft(share=share, folder=Path(folder) / str(number), objects=self.objects)
                for number, share in enumerate(shares)
                if refused[share.subscription.id] is None
            }
            self._read(list(drafts.values()))
            entries: list[Entry] = []
            errors: list[ImageryError] = []
            for share in shares:
                refusal = refused[share.subscription.id]
                try:
                    entries.append(refusal or self._deliver(drafts[share.subscription.id]))
                except ImageryError as error:
                    errors.append(error)
                    entries.append(share.failed(error))
        if errors and len(errors) == len(shares):
            raise next((error for error in errors if error.retryable), errors[0])
        return tuple(entries)

    def _read(self, drafts: Sequence[Draft]) -> None:
        """Every asset once, for all who want it and have not failed yet."""
        for key in dict.fromkeys(key for draft in drafts for key in draft.share.subscription.assets):
            takers = [draft for draft in drafts if key in draft.share.subscription.assets and draft.error is None]
            if takers:
                try:
                    self._read_asset(key, takers)
                except ImageryError as error:
                    for taker in takers:
                        taker.error = error

    def _read_asset(self, key: str, takers: Sequence[Draft]) -> None:
        """Raises what keeps the asset from being opened."""
        item = takers[0].share.item
        asset = item.assets.get(key)
        if asset is None:
            raise AssetMissing(f"item {item.id} has no asset {key!r}; it has: {', '.join(sorted(item.assets))}")
        clips = clip_each(
            asset.href,
            [taker.share.subscription.aoi.geometry for taker in takers],
            reading=Reading(nodata=declared_nodata(asset), max_pixels=self.max_clip_pixels),
            keep_empty=True,
        )
        with closing(clips):
            for index, result in clips:
                takers[index].take(key, result)
                del result  # else it would stay while the next one is read

    def _deliver(self, draft: Draft) -> Entry:
        if draft.error is not None:
            raise draft.error
        if draft.outline is None:
            return draft.share.outside()
        least = draft.share.subscription.filters.min_coverage
        if least is not None and draft.coverage < least:
            return draft.share.too_thin(draft.coverage)
        return self._write(draft, draft.outline)

    def _write(self, draft: Draft, outline: dict[str, object]) -> Entry:
        share, subscription = draft.share, draft.share.subscription
        collection_id = published_collection_id(subscription.collection)
        earlier = self.catalog.get(collection_id, draft.item_id)
        assets = [draft.assets[key] for key in subscription.assets if key in draft.assets]
        picture = draft.thumbnail()
        item = make_item(
            source=share.item,
            subscription=subscription,
            collection_id=collection_id,
            assets=assets,
            thumbnail=self._thumbnail(draft, picture),
            geometry=outline,
            coverage=draft.coverage,
            created_at=(earlier.common_metadata.created if earlier else None) or share.now,
            updated_at=share.now,
            software_version=__version__,
        )
        try:
            item_key = self._put(draft, item, picture)
        except ImageryError:
            if earlier is None:
                # Nothing speaks of these objects, so nothing would ever remove them.
                with suppress(ImageryError):
                    self.objects.remove_prefix(draft.prefix)
            raise
        numbers = {
            "coverage": round(draft.coverage, 6),
            "pixels": float(draft.valid_pixels),
            "bytes": float(sum(asset.body_size for asset in assets)),
            "bytes_read": float(draft.bytes_read),
        }
        return share.delivered(
            item_id=draft.item_id, item_key=item_key, numbers=numbers, left_out=tuple(draft.left_out)
        )

    def _put(self, draft: Draft, item: pystac.Item, picture: bytes) -> str:
        """The assets, the picture, and last the item, whose key it gives."""
        for key, path in draft.files.items():
            self.objects.put(draft.object_key(key), path.read_bytes(), media_type=pystac.MediaType.COG)
        self.objects.put(f"{draft.prefix}/thumbnail.png", picture, media_type=pystac.MediaType.PNG)
        item_key = f"{draft.prefix}/item.json"
        body = json.dumps(item.to_dict(include_self_link=False, transform_hrefs=False)).encode()
        self.objects.put(item_key, body, media_type=pystac.MediaType.GEOJSON)
        return item_key

    def _thumbnail(self, draft: Draft, picture: bytes) -> CutAsset:
        return CutAsset(
            key="thumbnail",
            href=self.objects.href(f"{draft.prefix}/thumbnail.png"),
            media_type=pystac.MediaType.PNG,
            body_size=len(picture),
            sha256=hashlib.sha256(picture).hexdigest(),
        )
