"""Whether a file's bytes are what its asset says of them: size, checksum, layout, grid, nodata and scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pystac
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError, RasterioError
from rasterio.io import MemoryFile

from imagery.raster.multihash import parse_multihash

TOLERANCE = 1e-9
"""Of numbers that went through JSON."""

LEFT_OUT = ": left out"
"""In what is said of the numbers of a file that has other bands than are spoken of."""


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
    data_type = said.get("data_type")
    if data_type is not None and any(dtype != data_type for dtype in src.dtypes):
        yield f"holds {src.dtypes[0]}, its item says {data_type}"
    yield from _of_numbers(src, said)


def _of_numbers(src: Any, said: dict[str, Any]) -> Iterator[str]:
    """One sentence at most."""
    of_bands = said.get("bands")
    bands = of_bands if isinstance(of_bands, list) and len(of_bands) == src.count else [{}] * src.count
    for own_scale, own_offset, meaning, band in zip(src.scales, src.offsets, src.colorinterp, bands, strict=True):
        words = {name: band.get(name, said.get(name)) for name in ("raster:scale", "raster:offset")}
        # A file that says nothing of a scale leaves the word to its item; one that says something must say the same.
        if (own_scale, own_offset) == (1.0, 0.0) or meaning == ColorInterp.alpha:
            continue
        scale, offset = words["raster:scale"], words["raster:offset"]
        if scale is None and offset is None:
            # Where nobody knew what the numbers mean, the source file's own tags came along unheard.
            if "imagery:radiometry" in said and LEFT_OUT not in said["imagery:radiometry"]:
                yield f"has scale {own_scale} and offset {own_offset}, its item says nothing of either"
                return
            continue
        told = [1.0 if scale is None else scale, 0.0 if offset is None else offset]
        if not _are_close([own_scale, own_offset], told):
            yield f"has scale {own_scale} and offset {own_offset}, its item says {told[0]} and {told[1]}"
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
