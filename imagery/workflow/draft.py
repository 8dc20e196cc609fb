"""One share's delivery while it is made: its assets pass by one after another, and only what is small is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pystac

from imagery.errors import ImageryError, ObjectStoreUnavailable, RasterError
from imagery.items import CutAsset, published_item_id
from imagery.ports import ObjectStore
from imagery.raster.clip import Clip
from imagery.raster.cog import encode_cog, nodata_written
from imagery.raster.footprint import footprint
from imagery.raster.ground import ground_resolution_m
from imagery.raster.radiometry import Radiometry, decide
from imagery.raster.thumbnail import Sample, encode_samples, sample
from imagery.workflow.share import Share

_CATEGORICAL = frozenset({"scl", "qa_pixel", "qa_radsat", "udm2", "cloud_mask"})
_PICTURE = ("red", "green", "blue")


@dataclass(kw_only=True, slots=True)
class Draft:
    """What one share has got so far. Encoded files wait in `folder`; no clip is held."""

    share: Share
    folder: Path
    """Its own; made when the first file comes."""

    objects: ObjectStore
    error: ImageryError | None = None
    """What ended it; nothing is taken after that."""

    files: dict[str, Path] = field(default_factory=dict)
    assets: dict[str, CutAsset] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Assets that do not reach the AOI."""

    coverage: float = 0.0
    """Of the asset that has most."""

    valid_pixels: int = 0
    """Of all assets together."""

    bytes_read: int = 0
    """An estimate: the size of the blocks its windows touch."""

    outline: dict[str, Any] | None = None
    """GeoJSON: the AOI clipped to the data of the asset that says most of it."""

    _rank: tuple[float, int] = (0.0, 0)
    _samples: dict[str, Sample] = field(default_factory=dict)

    @property
    def item_id(self) -> str:
        return published_item_id(self.share.item.id, self.share.subscription.id)

    @property
    def prefix(self) -> str:
        """Of all its objects."""
        return f"{self.share.subscription.prefix}/{self.item_id}"

    def take(self, key: str, result: Clip | RasterError | None) -> None:
        """What one asset gave over the AOI; never raises, an error is kept as the share's own."""
        try:
            if isinstance(result, RasterError):
                raise result
            if result is None:
                self.left_out.append(key)
            else:
                self._take_clip(key, result)
        except ImageryError as error:
            # Its traceback holds the clip.
            self.error = error.with_traceback(None)

    def object_key(self, key: str) -> str:
        """Where an asset will be."""
        return f"{self.prefix}/{key}.tif"

    def thumbnail(self) -> bytes:
        """PNG: red, green and blue on one grid where they were asked for, else the first asset with data."""
        colours = [self._samples[key] for key in _PICTURE if key in self._samples]
        if len(colours) == len(_PICTURE) and len({colour.grid for colour in colours}) == 1:
            return encode_samples(colours)
        kept = list(self._samples.values())
        return encode_samples([next((one for one in kept if one.shown.any()), kept[0])])

    def _take_clip(self, key: str, clip: Clip) -> None:
        body = encode_cog(clip, categorical=_is_categorical(self.share.item, key))
        self.files[key] = self._set_aside(body)
        self.assets[key] = _described(
            self.share.item, key, clip, href=self.objects.href(self.object_key(key)), body=body
        )
        self.valid_pixels += clip.valid_pixels
        self.bytes_read += clip.bytes_read
        self.coverage = max(self.coverage, clip.coverage)
        # Grids of several resolutions put the edge of the same data a pixel apart: equal to a percent is equal.
        rank = (round(clip.coverage, 2), clip.aoi_pixels)
        if clip.valid_pixels and rank > self._rank:
            self._rank, self.outline = rank, footprint(clip, self.share.subscription.aoi.geometry)
        if key in _PICTURE or not any(one.shown.any() for one in self._samples.values()):
            self._samples[key] = sample(clip)

    def _set_aside(self, body: bytes) -> Path:
        path = self.folder / f"{len(self.files)}.tif"
        try:
            self.folder.mkdir(exist_ok=True)
            path.write_bytes(body)
        except OSError as error:
            raise ObjectStoreUnavailable(
                f"a clip could not be set aside before it is stored ({error}); make room there, or set TMPDIR"
            ) from error
        return path


def declared_nodata(asset: pystac.Asset) -> float | None:
    """The item's word for nodata, for files that have none; None if its bands do not agree."""
    fields = asset.extra_fields
    listed = fields.get("raster:bands") or fields.get("bands")
    bands = [band for band in listed if isinstance(band, Mapping)] if isinstance(listed, list) else []
    values = {_as_number(band.get("nodata", fields.get("nodata"))) for band in bands or [{}]}
    said = values.pop() if len(values) == 1 else None
    return None if said is None else float(said)


def _as_number(value: Any) -> str | None:
    """Spelled one way, which makes nan equal to nan; None if it is no number."""
    try:
        return None if value is None else repr(float(value))
    except (TypeError, ValueError):
        return None


def _described(item: pystac.Item, key: str, clip: Clip, *, href: str, body: bytes) -> CutAsset:
    radiometry = decide(item, key)
    a, b, c, d, e, f = tuple(clip.transform)[:6]
    height, width = clip.inside.shape
    return CutAsset(
        key=key,
        href=href,
        body_size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        crs=_crs_code(clip),
        shape=(height, width),
        transform=(a, b, c, d, e, f),
        bounds=clip.bounds,
        dtype=str(clip.data.dtype),
        nodata=nodata_written(clip),
        scale=radiometry.scale if radiometry else None,
        offset=radiometry.offset if radiometry else None,
        band_scales=radiometry.bands if radiometry and _fits(radiometry, clip) else (),
        radiometry=_reason(radiometry, clip) if radiometry else None,
        resolution_m=ground_resolution_m(clip),
    )


def _fits(radiometry: Radiometry, clip: Clip) -> bool:
    """Whether what is said band by band is said of as many as there are."""
    return len(radiometry.bands) in (0, clip.data.shape[0])


def _reason(radiometry: Radiometry, clip: Clip) -> str:
    if _fits(radiometry, clip):
        return radiometry.source
    bands = clip.data.shape[0]
    return f"{radiometry.source} and are {len(radiometry.bands)} where the file has {bands} band(s): left out"


def _is_categorical(item: pystac.Item, key: str) -> bool:
    """Whether its values are classes, which must never be averaged."""
    asset = item.assets[key]
    return key.lower() in _CATEGORICAL or any(
        name in asset.extra_fields for name in ("classification:classes", "classification:bitfields")
    )


def _crs_code(clip: Clip) -> str | None:
    authority = clip.crs.to_authority()
    return ":".join(authority) if authority else None
