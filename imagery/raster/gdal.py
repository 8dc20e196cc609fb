"""How GDAL is told to read: few requests, bounded waiting, nothing remembered; and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import httpx
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError

from imagery.errors import AssetMissing, RangesUnsupported, RasterError, RasterUnavailable, RasterUnreadable

T = TypeVar("T")

READING: Mapping[str, Any] = MappingProxyType(
    {
        # No listing of the folder and no probing for sidecar files: a COG brings everything with it.
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        # sentinel-cogs headers fit in 8 kB; twice that takes the larger ones with one request as well.
        "GDAL_INGESTED_BYTES_AT_OPEN": "16384",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_HTTP_MULTIPLEX": "YES",
        "VSI_CACHE": "TRUE",
        "VSI_CACHE_SIZE": "5000000",
        # Without this a 404, a 403 or an old header is believed until the process ends.
        "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/",
        "GDAL_HTTP_CONNECTTIMEOUT": "10",
        "GDAL_HTTP_TIMEOUT": "60",
        # A server that stalls is given up long before; this is not tried again by GDAL.
        "GDAL_HTTP_LOW_SPEED_TIME": "15",
        "GDAL_HTTP_LOW_SPEED_LIMIT": "1000",
        "GDAL_HTTP_MAX_RETRY": "3",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        "GDAL_HTTP_RETRY_CODES": "429,500,502,503,504",
    }
)

_STATUS = re.compile(r"(?:HTTP response code|response_code|HTTP error code)\s*[:=]?\s*(\d{3})", re.IGNORECASE)
PASSING_STATUSES = (408, 425, 429)
_GONE = re.compile(
    r"does not exist in the file system|No such file|Access ?Denied|NoSuchKey|NoSuchBucket|Not ?Found|InvalidAccessKey"
    r"|InvalidCredentials|No valid AWS credentials",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"CURL error|timed? ?out|could not resolve|could not connect|connection|too slow"
    r"|Read error|got \d+ bytes, expected|Cannot read|Invalid AWS response|Request for .* failed",
    re.IGNORECASE,
)
REFUSALS = (400, 401, 403)
"""What stores answer to a signed URL that is too old; only the body tells it from other refusals."""

EXPIRED = re.compile(r"expired|not valid in the specified time frame", re.IGNORECASE)
_UNRECOGNIZED = "not recognized as being in a supported file format"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@contextmanager
def open_raster(href: str, *, options: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A rasterio dataset open for reading; `href` is http(s)://, s3://, file:// or a path.

    Errors of GDAL while opening and inside the block become ours: AssetMissing (401, 403, 404, no such file),
    RasterUnavailable (network, timeout, 5xx, a body cut short, a link that has expired), RasterUnreadable (anything
    else). `options` are GDAL configuration on top of READING, such as credentials or AWS_NO_SIGN_REQUEST.
    """
    path = _to_gdal_path(href)
    with rasterio.Env(**{**READING, **(options or {})}), translated(href), _open(path) as src:
        yield src


@contextmanager
def translated(href: str) -> Iterator[None]:
    """Errors of rasterio about this href, as errors of the house."""
    try:
        yield
    except NotGeoreferencedWarning as error:
        raise RasterUnreadable(f"{shown(href)} is not georeferenced; it cannot be clipped to a place") from error
    except RasterioError as error:
        raise _translate(error, href) from error


def unwarned(call: Callable[[], T]) -> T:
    """What `call` gives, tried again when rasterio's warning about its own scratch raster gets out of it.

    It silences that one with `warnings.catch_warnings`, which threads undo for each other; where warnings are errors
    (under `python -W error`), one in a thousand calls then fails for nothing.
    """
    for _ in range(50):
        with suppress(NotGeoreferencedWarning):
            return call()
    return call()


def shown(href: str) -> str:
    """The href as it may be shown: without user, password, query and fragment, where credentials travel."""
    parts = urlsplit(href)
    if not parts.scheme:
        return href
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _to_gdal_path(href: str) -> str:
    scheme = urlsplit(href).scheme.lower()
    if scheme in ("http", "https"):
        return f"/vsicurl/{href}"
    if scheme == "s3":
        return f"/vsis3/{href[len('s3://') :]}"
    if scheme == "file":
        return unquote(urlsplit(href).path)
    if scheme or href.startswith("/vsi"):
        raise RasterUnreadable(f"{shown(href)} cannot be opened; known are https://, http://, s3://, file:// and paths")
    return href


def _open(path: str) -> Any:
    """As a GeoTIFF, else as JPEG 2000 (which some archives keep under `.tif`).

    Only these two: an item comes from outside, and a VRT or WMS file would have GDAL follow references of its own.
    """
    try:
        return rasterio.open(path, driver="GTiff")
    except RasterioIOError as error:
        if _UNRECOGNIZED not in str(error):
            raise
    return rasterio.open(path, driver="JP2OpenJPEG")


def _is_remote(href: str) -> bool:
    return urlsplit(href).scheme.lower() in ("http", "https", "s3")


def _translate(error: BaseException, href: str) -> RasterError:
    """By what GDAL said, anywhere in the chain of causes: it has no error codes for this."""
    said = _without_href(" | ".join(_chain(error)), href)
    damaged = RasterUnreadable(f"{shown(href)} is no raster that can be read, or is damaged: {_first(error, href)}")
    if not _is_remote(href):
        return AssetMissing(f"{shown(href)} is not there; check the item's href") if _GONE.search(said) else damaged
    gone = AssetMissing(f"{shown(href)} is gone or forbidden: {_first(error, href)}")
    passing = RasterUnavailable(f"{shown(href)} could not be read just now: {_first(error, href)}")
    statuses = [int(status) for status in _STATUS.findall(said)]
    if statuses:
        return _judged(statuses[-1], href, gone=gone, passing=passing)
    if "Range downloading not supported" in said:
        return _ranges_unsupported(href)
    if _GONE.search(said):
        return gone
    if _PASSING.search(said):
        return passing
    return _looked_at(href, damaged) if _UNRECOGNIZED in said else damaged


def _ranges_unsupported(href: str) -> RangesUnsupported:
    return RangesUnsupported(f"{shown(href)}: its server answers no range requests, so no part of it can be read")


def _judged(status: int, href: str, *, gone: AssetMissing, passing: RasterUnavailable) -> RasterError:
    """By the last status the server gave."""
    if status in REFUSALS and _has_expired(href):
        return RasterUnavailable(
            f"the link to {shown(href)} has expired; the provider is asked for a fresh one when it is tried again"
        )
    return gone if 400 <= status < 500 and status not in PASSING_STATUSES else passing


def _has_expired(href: str) -> bool:
    """GDAL gives the status of a refusal, not its words: ask for those ourselves."""
    if urlsplit(href).scheme.lower() == "s3":
        return False
    with suppress(httpx.HTTPError):
        status, start = _first_bytes(href)
        return status >= 400 and EXPIRED.search(start.decode("utf-8", "replace")) is not None
    return False


def _looked_at(href: str, damaged: RasterUnreadable) -> RasterError:
    """GDAL says the same of a web page and of a header it could not fetch: look at the first bytes ourselves."""
    if urlsplit(href).scheme.lower() == "s3":
        return damaged
    try:
        status, start = _first_bytes(href)
    except httpx.HTTPError as error:
        return RasterUnavailable(f"{shown(href)} could not be read just now: {type(error).__name__}")
    if status < 400 and not start.startswith(_TIFF):
        return damaged
    if status == httpx.codes.OK:  # asked for a part, it gave the whole
        return _ranges_unsupported(href)
    return RasterUnavailable(f"{shown(href)} could not be read just now: its header came incomplete")


def _first_bytes(href: str) -> tuple[int, bytes]:
    """The server's status, and how its answer begins; of a file no more than a TIFF's first word is asked for."""
    with httpx.stream("GET", href, headers={"Range": "bytes=0-15"}, follow_redirects=True, timeout=10) as response:
        return response.status_code, next(response.iter_bytes(4096), b"")


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _first(error: BaseException, href: str) -> str:
    """The deepest cause, which is what happened first, without the href and what it may carry."""
    said = _without_href(list(_chain(error))[-1], href)
    return "not a TIFF" if _UNRECOGNIZED in said else said.strip(" :'\"")[:300]


def _without_href(text: str, href: str) -> str:
    """GDAL quotes the whole URL, and numbers or words in a URL are no answer of the server."""
    for quoted in (_to_gdal_path(href), href):
        text = text.replace(quoted, "…")
    return re.sub(r"(?:https?|s3)://\S+", "…", text)
