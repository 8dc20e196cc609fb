"""What is said of a file that was written: its place, its type, and what its numbers mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from imagery.items import CutAsset
from imagery.raster.clip import Clip
from imagery.raster.cog import nodata_written
from imagery.raster.ground import ground_resolution_m
from imagery.raster.radiometry import Pair, Radiometry
from imagery.raster.radiometry.value import agreed


def described(key: str, clip: Clip, radiometry: Radiometry | None) -> CutAsset:
    """All but the file itself; `radiometry` is of what it stores, None where nobody says anything."""
    a, b, c, d, e, f = tuple(clip.transform)[:6]
    height, width = clip.inside.shape
    return CutAsset(
        key=key,
        href="",
        body_size=0,
        sha256="",
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


def described_index(key: str, clip: Clip, *, formula: str) -> CutAsset:
    """Of an index as `imagery.raster.index.compute` gives it."""
    asset = described(key, clip, None)
    said = clip.descriptions[0]  # the formula, and what of its numbers does not fit
    return replace(asset, formula=formula, description=said, scale=clip.scales[0], offset=clip.offsets[0])


def described_stack(key: str, clip: Clip, of: Sequence[tuple[str, Radiometry | None]]) -> CutAsset:
    """Of a file of several assets' bands; `of` names for each band the source's asset, and what its numbers mean."""
    pairs = [
        _pair(radiometry, [one for one, _ in of[:place]].count(name)) for place, (name, radiometry) in enumerate(of)
    ]
    said = {name: radiometry.source for name, radiometry in of if radiometry is not None}
    sources = list(dict.fromkeys(said.values()))
    source = sources[0] if len(sources) == 1 else "; ".join(f"{name}: {text}" for name, text in said.items())
    return replace(
        described(key, clip, agreed(pairs, source)), band_sources=tuple(name for name, _ in of), band_names=_names(clip)
    )


def with_body(asset: CutAsset, body: bytes) -> CutAsset:
    """With the size and the checksum of its file."""
    return replace(asset, body_size=len(body), sha256=hashlib.sha256(body).hexdigest())


def with_numbers(clip: Clip, radiometry: Radiometry | None) -> Clip:
    """The clip that says of scale and offset in its file what its item says; the source file's word where none is."""
    if radiometry is None or not _fits(radiometry, clip):
        return clip
    pairs = [_pair(radiometry, index) for index in range(clip.data.shape[0])]
    scales = tuple(said if pair is None else pair[0] for pair, said in zip(pairs, clip.scales, strict=True))
    offsets = tuple(said if pair is None else pair[1] for pair, said in zip(pairs, clip.offsets, strict=True))
    return replace(clip, scales=scales, offsets=offsets)


def _pair(radiometry: Radiometry | None, index: int) -> Pair | None:
    """(scale, offset) of a band, from 0; None for one of which nothing is said."""
    if radiometry is None:
        return None
    if radiometry.bands:
        return radiometry.bands[index] if index < len(radiometry.bands) else None
    scale, offset = radiometry.scale, radiometry.offset
    if scale is None and offset is None:
        return None
    return (1.0 if scale is None else scale, 0.0 if offset is None else offset)


def _names(clip: Clip) -> tuple[str, ...]:
    return tuple(name or f"band_{number}" for number, name in enumerate(clip.descriptions, start=1))


def _fits(radiometry: Radiometry, clip: Clip) -> bool:
    """Whether what is said band by band is said of as many as there are."""
    return len(radiometry.bands) in (0, clip.data.shape[0])


def _reason(radiometry: Radiometry, clip: Clip) -> str:
    if _fits(radiometry, clip):
        return radiometry.source
    bands = clip.data.shape[0]
    return f"{radiometry.source} and are {len(radiometry.bands)} where the file has {bands} band(s): left out"


def _crs_code(clip: Clip) -> str | None:
    authority = clip.crs.to_authority()
    return ":".join(authority) if authority else None
