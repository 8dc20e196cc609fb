"""What was cut: one delivered file, as the item tells of it. Knows nothing of rasters or pixels."""

from __future__ import annotations

from dataclasses import dataclass

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
PNG_MEDIA_TYPE = "image/png"


@dataclass(frozen=True, kw_only=True, slots=True)
class CutAsset:
    """One file we wrote. What the source says of the asset (title, bands, roles) is added when the item is made."""

    key: str
    """Asset key, as the source item names it; of a file made of several of its assets, a name of our own."""

    title: str | None = None
    """None: the source asset's."""

    description: str | None = None
    """None: the source asset's; of an index, its formula."""

    href: str
    media_type: str = COG_MEDIA_TYPE
    roles: tuple[str, ...] | None = None
    """None: those of the source asset, corrected; of an index `data` and `index`."""

    formula: str | None = None
    """Of an index. Nothing is said of the source's asset of the same key, should there be one. None: no index."""

    band_sources: tuple[str, ...] = ()
    """For a file of several assets' bands: the source's asset key of each band, in the file's order, as often as that
    asset has bands in it. Empty: all bands are of the asset `key`."""

    body_size: int
    """Bytes."""

    sha256: str
    """Of the body; hex digest."""

    crs: str | None = None
    """Authority and code (`EPSG:32633`). None: it has no code, or the file is a picture without a place."""

    shape: tuple[int, int] | None = None
    """(rows, columns)."""

    transform: tuple[float, float, float, float, float, float] | None = None
    """Affine (a, b, c, d, e, f): x = a·column + b·row + c, y = d·column + e·row + f."""

    bounds: tuple[float, float, float, float] | None = None
    """(left, bottom, right, top) in units of `crs`."""

    dtype: str | None = None
    """As numpy names it."""

    nodata: float | None = None
    """What the file declares; may be nan. None: every pixel is data, or the file's mask or alpha band tells."""

    scale: float | None = None
    """value = pixel · scale + offset. None: the pixel is the value, or nobody knows."""

    offset: float | None = None
    band_scales: tuple[tuple[float, float] | None, ...] = ()
    """(scale, offset) of each band in the file's order, where they differ; None for one nobody speaks of."""

    radiometry: str | None = None
    """Why this scale and this offset, for a person."""

    resolution_m: float | None = None
    """Width of a pixel on the ground, metres. None: not known, as in a CRS of degrees."""

    band_names: tuple[str, ...] = ()
    """In the file's order; used where the source item does not name its bands. With `band_sources` they are the names,
    and empty means the source's asset keys."""
