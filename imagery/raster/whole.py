"""Files read whole: fetched once into a folder, held against the checksum and the size that their item gives."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import pystac
from shapely.geometry import shape

from imagery.errors import (
    AssetMissing,
    ChecksumMismatch,
    RangesUnsupported,
    RasterError,
    RasterUnavailable,
    RasterUnreadable,
)
from imagery.metering import meter_in_use
from imagery.raster.area import Geometry, to_crs, window_of
from imagery.raster.gdal import EXPIRED, PASSING_STATUSES, REFUSALS, open_raster, shown, translated
from imagery.raster.multihash import parse_multihash

logger = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WHOLE_BYTES = 500_000_000
"""Of a file fetched for its checksum's sake; a band of a Sentinel-2 tile at 10 m has about half of it."""

MAX_UNASKED_BYTES = 200_000_000
"""Of a file fetched whole because its server gives no parts."""

NEARLY = 0.9
"""Of a file's blocks: reading so many in parts saves less than it costs."""

LARGE_BYTES, FEW, SMALL = 10_000_000, 20, 0.25
"""A file of this size has dozens of blocks: AOIs no more than FEW, with a quarter of its box, leave most untouched."""

PIECE = 1 << 20

PATIENCE_S = 15.0
SLOWEST = 1000
"""Bytes a second, over PATIENCE_S: below it a server is given up, as GDAL does."""


def checked_href(
    asset: pystac.Asset, geometries: Sequence[Geometry], folder: Path, *, max_bytes: int = MAX_WHOLE_BYTES
) -> str:
    """Where to read these AOIs of an asset from: its own href, or a verified copy of the whole file in `folder`.

    The copy is made when the AOIs' windows need nearly all of a file whose item gives a checksum we can verify, and
    which is no larger than `max_bytes`; a file on disk is verified in place. Only to learn that is the file's header
    read; not for an item without checksum, nor for a few small AOIs in a large file.

    Raises ChecksumMismatch, AssetMissing, RasterUnavailable, RasterUnreadable.
    """
    href, checksum, size = asset.href, asset.extra_fields.get("file:checksum"), _size(asset)
    if checksum is None or not _is_fetchable(href) or (size is not None and size > max_bytes):
        return href
    if parse_multihash(checksum) is None:
        logger.info("not verified: its checksum is of a kind not known here", extra={"href": shown(href)})
        return href
    if _is_surely_partial(asset, geometries, size):
        return href
    try:
        with open_raster(href) as src:
            is_wanted = whole_file_wanted(src, _windows(src, geometries))
    except RangesUnsupported:
        is_wanted = True
    if not is_wanted:
        return href
    return str(fetch_whole(href, folder, checksum=checksum, size=size, max_bytes=max_bytes))


def read_checked(
    asset: pystac.Asset, geometries: Sequence[Geometry], folder: Path, read: Callable[[str], Iterable[T]]
) -> Generator[T]:
    """What `read` gives of `checked_href`; of a small whole copy, where the asset's server gives no parts.

    `read` must raise RangesUnsupported, if it does, before it gives anything, as `clip_each` does.
    """
    href = checked_href(asset, geometries, folder)
    try:
        yield from read(href)
    except RangesUnsupported:
        if not _is_fetchable(href):
            raise
    else:
        return
    checksum = asset.extra_fields.get("file:checksum")
    path = fetch_whole(href, folder, checksum=checksum, size=_size(asset), max_bytes=MAX_UNASKED_BYTES)
    yield from read(str(path))


def read_all_checked(
    assets: Sequence[pystac.Asset], geometries: Sequence[Geometry], folder: Path, read: Callable[[Sequence[str]], T]
) -> T:
    """As `read_checked` of several assets at once; `read` is given where to read each from."""
    hrefs = [checked_href(asset, geometries, folder) for asset in assets]
    try:
        return read(hrefs)
    except RangesUnsupported:
        return read([_without_ranges(href, asset, folder) for href, asset in zip(hrefs, assets, strict=True)])


def _without_ranges(href: str, asset: pystac.Asset, folder: Path) -> str:
    """The href itself, or a whole copy where its server gives no parts."""
    try:
        with open_raster(href):
            return href
    except RangesUnsupported:
        if not _is_fetchable(href):
            raise
    checksum = asset.extra_fields.get("file:checksum")
    return str(fetch_whole(href, folder, checksum=checksum, size=_size(asset), max_bytes=MAX_UNASKED_BYTES))


def whole_file_wanted(src: Any, windows: Sequence[Any]) -> bool:
    """Whether these windows of an open dataset together touch nearly every block of it."""
    height, width = src.block_shapes[0]
    rows, columns = -(-src.height // height), -(-src.width // width)
    least = NEARLY * rows * columns
    touched: set[tuple[int, int]] = set()
    for window in windows:
        across = range(int(window.col_off) // width, (int(window.col_off + window.width) - 1) // width + 1)
        down = range(int(window.row_off) // height, (int(window.row_off + window.height) - 1) // height + 1)
        touched.update((row, column) for row in down for column in across)
        if len(touched) >= least:
            return True
    return False


def fetch_whole(
    href: str, folder: Path, *, checksum: str | None = None, size: int | None = None, max_bytes: int
) -> Path:
    """The whole file: of http(s):// a copy in `folder`, whole or not there at all; file:// and paths as they lie.

    It is held against `checksum` (multihash in hex; one of a kind not known here is passed over) and `size` (bytes).
    What does not match is fetched once more. A copy made before is given again without a request.

    Raises ChecksumMismatch, AssetMissing (401, 403, 404, no such file), RasterUnavailable (network, 5xx, a body cut
    short), RasterUnreadable (more than `max_bytes`, or another kind of href).
    """
    if not _is_fetchable(href):
        raise RasterUnreadable(f"{shown(href)} cannot be read whole; known are https://, http://, file:// and paths")
    local = _local_path(href)
    path = local or folder / f"{hashlib.sha256(href.encode()).hexdigest()[:32]}.tif"
    if local is None and path.exists():
        return path
    wrong = ""
    for _ in range(2):
        taken = _checked_in_place(path, href) if local else _fetch(href, path.with_suffix(".part"), size, max_bytes)
        wrong = _mismatch(taken, checksum, size)
        if not wrong:
            return taken if local else taken.replace(path)
        if local is None:
            taken.unlink()
    raise ChecksumMismatch(
        f"{shown(href)} {wrong}, and so it was when read again; its file and its item do not belong together: ask the "
        "provider, and replay when that is mended"
    )


def _checked_in_place(path: Path, href: str) -> Path:
    if not path.is_file():
        raise AssetMissing(f"{shown(href)} is not there; check the item's href")
    return path


def _fetch(href: str, path: Path, size: int | None, max_bytes: int) -> Path:
    """Into this file. What breaks off leaves nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    timeout = httpx.Timeout(PATIENCE_S, connect=10)
    # A checksum is of the file: as it lies there, not as a server may pack it for its way.
    headers = {"Accept-Encoding": "identity"}
    try:
        with httpx.stream("GET", href, headers=headers, follow_redirects=True, timeout=timeout) as response:
            if not response.is_success:
                raise _refused(href, response)
            received = _save(response, path, href, max_bytes)
            if size is not None and received < size and "content-length" not in response.headers:
                raise RasterUnavailable(f"{shown(href)} was cut short after {received} of {size} bytes")
    except httpx.HTTPError as error:
        path.unlink(missing_ok=True)
        raise RasterUnavailable(f"{shown(href)} could not be read just now: {type(error).__name__}") from error
    except httpx.InvalidURL as error:
        raise RasterUnreadable(f"{shown(href)} is no URL that can be asked") from error
    except OSError as error:
        path.unlink(missing_ok=True)
        raise RasterUnavailable(f"{shown(href)} could not be kept: {error}; make room in {path.parent}") from error
    except RasterError:
        path.unlink(missing_ok=True)
        raise
    return path


def _save(response: httpx.Response, path: Path, href: str, max_bytes: int) -> int:
    """How many bytes there were."""
    received, slow_since, slow_from = 0, time.monotonic(), 0
    with path.open("wb") as out:
        for piece in response.iter_bytes(PIECE):
            received += len(piece)
            if received > max_bytes:
                raise RasterUnreadable(f"{shown(href)} is larger than {max_bytes} bytes; it is not read whole")
            out.write(piece)
            if (passed := time.monotonic() - slow_since) > PATIENCE_S:
                if received - slow_from < SLOWEST * passed:
                    raise RasterUnavailable(f"{shown(href)} came too slowly: {received} bytes so far")
                slow_since, slow_from = slow_since + passed, received
    if (meter := meter_in_use()) is not None:
        meter.has_read(received)
    return received


def _refused(href: str, response: httpx.Response) -> RasterError:
    """By the status, as of GDAL; some stores tell an old link from other refusals by the body only."""
    status = response.status_code
    if status in REFUSALS and EXPIRED.search(next(response.iter_bytes(4096), b"").decode("utf-8", "replace")):
        return RasterUnavailable(
            f"the link to {shown(href)} has expired; the provider is asked for a fresh one when it is tried again"
        )
    if 400 <= status < 500 and status not in PASSING_STATUSES:
        return AssetMissing(f"{shown(href)} is gone or forbidden: HTTP {status}")
    return RasterUnavailable(f"{shown(href)} could not be read just now: HTTP {status}")


def _mismatch(path: Path, checksum: str | None, size: int | None) -> str:
    """What is wrong with the file; empty when nothing is."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"has {found} bytes where its item says {size}"
    expected = parse_multihash(checksum)
    if expected is None or expected.matches(_pieces(path)):
        return ""
    return f"has another {expected.algorithm} than its item says"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _windows(src: Any, geometries: Sequence[Geometry]) -> list[Any]:
    found: list[Any] = []
    for geometry in geometries if src.crs is not None else ():
        with suppress(RasterError), translated(src.name):
            aoi = to_crs(geometry, src.crs)
            window = None if aoi is None else window_of(src, aoi)
            if window is not None:
                found.append(window)
    return found


def _is_surely_partial(asset: pystac.Asset, geometries: Sequence[Geometry], size: int | None) -> bool:
    """Whether the AOIs are so few, and so small beside their item, that they touch half of a large file at most."""
    bbox = asset.owner.bbox if isinstance(asset.owner, pystac.Item) else None
    if bbox is None or len(bbox) < 4 or size is None or size < LARGE_BYTES or len(geometries) > FEW:
        return False
    west, south, east, north = bbox[0], bbox[1], bbox[len(bbox) // 2], bbox[len(bbox) // 2 + 1]
    boxes = [shape(geometry).bounds for geometry in geometries]
    wanted = sum((right - left) * (top - bottom) for left, bottom, right, top in boxes)
    return bool(wanted < SMALL * (east - west) * (north - south))


def _size(asset: pystac.Asset) -> int | None:
    size = asset.extra_fields.get("file:size")
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def _is_fetchable(href: str) -> bool:
    return urlsplit(href).scheme.lower() in ("http", "https", "file", "") and not href.startswith("/vsi")


def _local_path(href: str) -> Path | None:
    scheme = urlsplit(href).scheme.lower()
    if scheme in ("http", "https"):
        return None
    return Path(unquote(urlsplit(href).path) if scheme == "file" else href)
