"""Whether a file's bytes are what its asset says of them: size, checksum, layout, grid, nodata and scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pystac
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.io import MemoryFile

from imagery.raster.multihash import parse_multihash

TOLERANCE = 1e-9
"""Of numbers that went through JSON."""


def disagreements(body: bytes, asset: pystac.Asset) -> list[str]:
    """What the asset says and the bytes do not bear out, one sentence each; empty when all is well."""
    said = asset.extra_fields
    size = said.get("file:size")
    if size is not None and size != len(body):
        return [f"has {len(body)} bytes, its item says {size}"]
    expected = parse_multihash(said.get("file:checksum"))
    if expected is None:
        found = ["its item gives no checksum that can be verified"]
    else:
        found = [] if expected.matches([body]) else [f"has another {expected.algorithm} than its item says"]
    if "proj:shape" in said:
        found += _of_raster(body, said)
    return found


def _of_raster(body: bytes, said: dict[str, Any]) -> list[str]:
    try:
        with MemoryFile(body, ext=".tif") as memory, memory.open(driver="GTiff") as src:
            return list(_of_open(src, said))
    except RasterioError as error:
        return [f"does not open as a GeoTIFF: {str(error)[:200]}"]


def _of_open(src: Any, said: dict[str, Any]) -> Iterator[str]:
    if src.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") != "COG":
        yield "is not laid out as a Cloud-Optimized GeoTIFF"
    if list(said["proj:shape"]) != [src.height, src.width]:
        yield f"has {src.height} x {src.width} pixels, its item says {said['proj:shape']}"
    transform = said.get("proj:transform")
    if transform is not None and not _are_close(transform[:6], list(src.transform)[:6]):
        yield f"lies at {list(src.transform)[:6]}, its item says {transform[:6]}"
    code = said.get("proj:code")
    if code is not None and (src.crs is None or src.crs != _crs(code)):
        yield f"is in another reference system than its item says ({code})"
    if not _is_same(src.nodata, said.get("nodata")):
        yield f"declares nodata {src.nodata}, its item says {said.get('nodata')}"
    scale, offset = said.get("raster:scale", 1.0), said.get("raster:offset", 0.0)
    # A file that says nothing of a scale leaves the word to its item; one that says something must say the same.
    for own_scale, own_offset in zip(src.scales, src.offsets, strict=True):
        silent = (own_scale, own_offset) == (1.0, 0.0)
        if "raster:scale" in said and not silent and not _are_close([own_scale, own_offset], [scale, offset]):
            yield f"has scale {own_scale} and offset {own_offset}, its item says {scale} and {offset}"
            return


def _crs(code: str) -> Any:
    try:
        return CRS.from_user_input(code)
    except CRSError:
        return None


def _is_same(own: float | None, said: object) -> bool:
    if own is None or said is None:
        return own is None and said is None
    value = float(str(said))
    return (math.isnan(own) and math.isnan(value)) or own == value


def _are_close(own: list[float], said: list[float]) -> bool:
    return len(own) == len(said) and all(
        math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=TOLERANCE) for a, b in zip(own, said, strict=True)
    )
