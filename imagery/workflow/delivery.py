"""One source item over the AOIs of its subscribers: look, cut, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pystac

from imagery import __version__
from imagery.errors import AssetMissing, ImageryError
from imagery.items import CutAsset, make_item, published_item_id
from imagery.ports import Catalog, ObjectStore
from imagery.raster.clip import Clip, clip_many
from imagery.raster.cog import MEDIA_TYPE, encode_cog
from imagery.raster.footprint import footprint
from imagery.raster.radiometry import decide
from imagery.raster.thumbnail import encode_thumbnail
from imagery.workflow.share import Entry, Share

Cut = Clip | ImageryError | None
"""What one asset gave over one AOI; None: the scene has no data there."""

_CATEGORICAL = frozenset({"scl", "qa_pixel", "qa_radsat", "udm2", "cloud_mask"})
_PICTURE = ("red", "green", "blue")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cutter:
    """Cuts one item for many subscriptions, opening each of its assets once."""

    objects: ObjectStore
    catalog: Catalog
    max_clip_pixels: int

    def cut(self, shares: Sequence[Share]) -> tuple[Entry, ...]:
        """One entry a share; all are of one item.

        One subscriber's error is theirs alone; when every share fails, the first error is raised, so that it can be
        tried again. Objects are written under keys derived from subscription and item: cutting twice leaves what
        cutting once does.
        """
        refused = {share.subscription.id: share.refusal() for share in shares}
        clips = self._clips([share for share in shares if refused[share.subscription.id] is None])
        entries: list[Entry] = []
        errors: list[ImageryError] = []
        for share in shares:
            refusal = refused[share.subscription.id]
            try:
                entries.append(refusal or self._deliver(share, clips[share.subscription.id]))
            except ImageryError as error:
                errors.append(error)
                entries.append(share.failed(error))
        if errors and len(errors) == len(shares):
            raise errors[0]
        return tuple(entries)

    def _clips(self, shares: Sequence[Share]) -> dict[str, dict[str, Cut]]:
        """Subscription id → asset key → what was cut."""
        clips: dict[str, dict[str, Cut]] = {share.subscription.id: {} for share in shares}
        for key in dict.fromkeys(key for share in shares for key in share.subscription.assets):
            takers = [share for share in shares if key in share.subscription.assets]
            for taker, result in zip(takers, self._clip_asset(key, takers), strict=True):
                clips[taker.subscription.id][key] = result
        return clips

    def _clip_asset(self, key: str, takers: Sequence[Share]) -> Sequence[Cut]:
        item = takers[0].item
        asset = item.assets.get(key)
        if asset is None:
            there = ", ".join(sorted(item.assets))
            missing = AssetMissing(f"item {item.id} has no asset {key!r}; it has: {there}")
            return [missing] * len(takers)
        try:
            return clip_many(
                asset.href,
                [taker.subscription.aoi.geometry for taker in takers],
                nodata=_declared_nodata(asset),
                max_pixels=self.max_clip_pixels,
            )
        except ImageryError as error:
            return [error] * len(takers)

    def _deliver(self, share: Share, clips: Mapping[str, Cut]) -> Entry:
        cut: dict[str, Clip] = {}
        for key, result in clips.items():
            if isinstance(result, ImageryError):
                raise result
            if result is None:
                return share.outside()
            cut[key] = result
        coverage = min(clip.coverage for clip in cut.values())
        least = share.subscription.filters.min_coverage
        if least is not None and coverage < least:
            return share.too_thin(coverage)
        return self._write(share, cut, coverage=coverage)

    def _write(self, share: Share, cut: Mapping[str, Clip], *, coverage: float) -> Entry:
        subscription = share.subscription
        item_id = published_item_id(share.item.id, subscription.id)
        prefix = f"{subscription.prefix}/{item_id}"
        assets = [self._put_asset(share.item, key, clip, prefix) for key, clip in cut.items()]
        finest = min(cut.values(), key=lambda clip: clip.resolution)
        published = make_item(
            source=share.item,
            subscription=subscription,
            collection_id=subscription.collection,
            assets=assets,
            thumbnail=self._put_thumbnail(cut, prefix),
            geometry=footprint(finest, subscription.aoi.geometry),
            coverage=coverage,
            created_at=self._created_at(subscription.collection, item_id) or share.now,
            updated_at=share.now,
            software_version=__version__,
        )
        item_key = f"{prefix}/item.json"
        body = json.dumps(published.to_dict(include_self_link=False, transform_hrefs=False)).encode()
        self.objects.put(item_key, body, media_type=pystac.MediaType.GEOJSON)
        numbers = {
            "coverage": round(coverage, 6),
            "pixels": float(sum(clip.valid_pixels for clip in cut.values())),
            "bytes": float(sum(asset.body_size for asset in assets)),
            "bytes_read": float(sum(clip.bytes_read for clip in cut.values())),
        }
        return share.delivered(item_id=item_id, item_key=item_key, numbers=numbers)

    def _created_at(self, collection_id: str, item_id: str) -> datetime | None:
        earlier = self.catalog.get(collection_id, item_id)
        return earlier.common_metadata.created if earlier else None

    def _put_asset(self, item: pystac.Item, key: str, clip: Clip, prefix: str) -> CutAsset:
        body = encode_cog(clip, categorical=_is_categorical(item, key))
        radiometry = decide(item, key)
        return CutAsset(
            key=key,
            href=self.objects.put(f"{prefix}/{key}.tif", body, media_type=MEDIA_TYPE),
            media_type=MEDIA_TYPE,
            body_size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            crs=_crs_code(clip),
            shape=clip.inside.shape,
            transform=tuple(clip.transform)[:6],
            bounds=clip.bounds,
            dtype=str(clip.data.dtype),
            nodata=clip.nodata if clip.nodata_declared else None,
            scale=radiometry.scale if radiometry else None,
            offset=radiometry.offset if radiometry else None,
            resolution_m=clip.resolution[0] if clip.crs.is_projected else None,
        )

    def _put_thumbnail(self, cut: Mapping[str, Clip], prefix: str) -> CutAsset:
        body = encode_thumbnail(_picture_bands(cut))
        return CutAsset(
            key="thumbnail",
            href=self.objects.put(f"{prefix}/thumbnail.png", body, media_type=pystac.MediaType.PNG),
            media_type=pystac.MediaType.PNG,
            body_size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        )


def _declared_nodata(asset: pystac.Asset) -> float | None:
    """The item's word for nodata, for files that have none: STAC 1.1's, else the raster extension's of before."""
    bands: list[dict[str, Any]] = asset.extra_fields.get("raster:bands") or asset.extra_fields.get("bands") or [{}]
    value = asset.extra_fields.get("nodata", bands[0].get("nodata"))
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _is_categorical(item: pystac.Item, key: str) -> bool:
    """Whether its values are classes, which must never be averaged."""
    asset = item.assets[key]
    return key.lower() in _CATEGORICAL or any(
        name in asset.extra_fields for name in ("classification:classes", "classification:bitfields")
    )


def _crs_code(clip: Clip) -> str | None:
    authority = clip.crs.to_authority()
    return ":".join(authority) if authority else None


def _picture_bands(cut: Mapping[str, Clip]) -> list[Clip]:
    """Red, green and blue on one grid where they were asked for, else the first of what was."""
    if all(key in cut for key in _PICTURE) and len({cut[key].inside.shape for key in _PICTURE}) == 1:
        return [cut[key] for key in _PICTURE]
    return [next(iter(cut.values()))]
