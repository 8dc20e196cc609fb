"""What was cut: one delivered file, as the item tells of it. Knows nothing of rasters or pixels."""

from __future__ import annotations

from dataclasses import dataclass

COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
PNG_MEDIA_TYPE = "image/png"


@dataclass(frozen=True, kw_only=True, slots=True)
class CutAsset:
    """One file we wrote. What the source says of the asset (title, bands, roles) is added when the item is made."""

    key: str
    """Asset key, as the source item names it."""

    href: str
    media_type: str = COG_MEDIA_TYPE
    roles: tuple[str, ...] | None = None
    """None: those of the source asset, corrected."""

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
    """In the file's order; used where the source item does not name its bands."""
