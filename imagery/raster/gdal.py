"""How GDAL is told to read: few requests, bounded waiting, nothing remembered; and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError

from imagery.errors import AssetMissing, RasterError, RasterUnavailable, RasterUnreadable

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
        "GDAL_HTTP_TIMEOUT": "30",
        "GDAL_HTTP_MAX_RETRY": "3",
        "GDAL_HTTP_RETRY_DELAY": "0.5",
        "GDAL_HTTP_RETRY_CODES": "429,500,502,503,504",
    }
)

_GONE = re.compile(
    r"\b(?:40[134]|410)\b|does not exist in the file system|No such file|AccessDenied|NoSuchKey|NoSuchBucket|Not Found",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"\b(?:408|429|5\d\d)\b|CURL|time.?out|timed out|could not (?:resolve|connect)|connection|"
    r"Range downloading not supported|Read error|got \d+ bytes, expected|Cannot read|Request for .* failed",
    re.IGNORECASE,
)


@contextmanager
def open_raster(href: str, *, options: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A rasterio dataset open for reading; `href` is http(s)://, s3://, file:// or a path.

    Errors of GDAL while opening and inside the block become ours: AssetMissing (401, 403, 404, no such file),
    RasterUnavailable (network, timeout, 5xx, a body cut short), RasterUnreadable (anything else). `options` are GDAL
    configuration on top of READING, such as credentials or AWS_NO_SIGN_REQUEST.
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
        if "not recognized as being in a supported file format" not in str(error):
            raise
    return rasterio.open(path, driver="JP2OpenJPEG")


def _is_remote(href: str) -> bool:
    return urlsplit(href).scheme.lower() in ("http", "https", "s3")


def _translate(error: BaseException, href: str) -> RasterError:
    """By what GDAL said, anywhere in the chain of causes: it has no error codes for this."""
    said = " | ".join(_chain(error))
    if not _is_remote(href):
        if _GONE.search(said):
            return AssetMissing(f"{shown(href)} is not there; check the item's href")
        return RasterUnreadable(f"{shown(href)} is no raster that can be read, or is damaged: {_first(error, href)}")
    if _PASSING.search(_without_href(said, href)):
        return RasterUnavailable(f"{shown(href)} could not be read just now: {_first(error, href)}")
    if _GONE.search(_without_href(said, href)):
        return AssetMissing(f"{shown(href)} is gone or forbidden: {_first(error, href)}")
    return RasterUnreadable(f"{shown(href)} is no raster that can be read, or is damaged: {_first(error, href)}")


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield str(error)
        error = error.__cause__ or error.__context__


def _first(error: BaseException, href: str) -> str:
    """The deepest cause, which is what happened first, without the href and what it may carry."""
    return _without_href(list(_chain(error))[-1], href).strip(" :'\"")[:300]


def _without_href(text: str, href: str) -> str:
    """GDAL quotes the whole URL, and numbers in a URL are no HTTP status."""
    return re.sub(r"(?:/vsi\w+/)?(?:https?|s3)://\S+", "…", text.replace(href, "…").replace(_to_gdal_path(href), "…"))
