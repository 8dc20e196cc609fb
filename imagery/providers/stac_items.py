"""STAC documents from a provider as pystac objects: nothing lost, hrefs absolute. Pure: no socket."""

from __future__ import annotations

import copy
import logging
import posixpath
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import pystac

from imagery.errors import ProviderAnswerInvalid

logger = logging.getLogger(__name__)

REMOTE_SCHEMES = frozenset({"http", "https", "s3", "gs", "az", "abfs", "abfss"})
"""What an asset may be read from. A provider's word must never make us open a file of this machine."""


def discover_extensions() -> None:
    """Have pystac load what it knows of extensions, before there are threads.

    It does so by itself when the first document is read, and a second thread that reads one meanwhile trips over it
    ("dictionary changed size during iteration"): a sound item would be taken for a broken one.
    """
    pystac.EXTENSION_HOOKS.get_extended_object_links(pystac.Catalog(id="none", description="none"))


def parse_item(document: Mapping[str, Any], *, url: str) -> pystac.Item:
    """The item at `url`, as sent: a 1.0 item keeps its fields (`proj:epsg`, `raster:bands`) as they are.

    Raises ProviderAnswerInvalid.
    """
    base = _own_href(document, url)
    assets = document.get("assets")
    if not isinstance(assets, dict):
        raise ProviderAnswerInvalid(f"item {url} has no assets; nothing of it can be read")
    own: dict[str, Any] = copy.deepcopy(dict(document))
    own["assets"] = _absolute_assets(assets, base)
    own["links"] = _absolute_links(document.get("links"), base)
    try:
        item = pystac.Item.from_dict(own, migrate=not _is_1_x(document), preserve_dict=False)
    except Exception as error:  # pystac raises whatever the odd input happens to trip
        raise ProviderAnswerInvalid(f"item {url} is no STAC item: {type(error).__name__}: {error}") from error
    item.set_self_href(base if urlsplit(base).scheme in ("http", "https") else url)
    return item


def parse_collection(document: Mapping[str, Any], *, url: str) -> pystac.Collection:
    """The collection at `url`. Raises ProviderAnswerInvalid."""
    own: dict[str, Any] = copy.deepcopy(dict(document))
    own["links"] = _absolute_links(document.get("links"), url)
    try:
        collection = pystac.Collection.from_dict(own, migrate=not _is_1_x(document), preserve_dict=False)
    except Exception as error:  # as above
        raise ProviderAnswerInvalid(f"{url} is no STAC collection: {type(error).__name__}: {error}") from error
    collection.set_self_href(url)
    return collection


def _is_1_x(document: Mapping[str, Any]) -> bool:
    version = str(document.get("stac_version", ""))
    return version.startswith("1.") and "-" not in version


def _own_href(document: Mapping[str, Any], url: str) -> str:
    """Where the item says it lies; relative hrefs are relative to that."""
    links = document.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "self" and isinstance(link.get("href"), str):
            return _absolute(url, link["href"])
    return url


def _absolute_assets(assets: Mapping[str, Any], base: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, asset in assets.items():
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            raise ProviderAnswerInvalid(f"asset {key!r} of {base} has no href")
        href = _absolute(base, asset["href"])
        if urlsplit(href).scheme not in REMOTE_SCHEMES:
            logger.warning("asset left out: its href is not remote", extra={"item": base, "asset": key})
            continue
        kept[key] = {**asset, "href": href}
    return kept


def _absolute_links(links: Any, base: str) -> list[dict[str, Any]]:
    """Links with an href; `self` is set by the caller."""
    usable = [one for one in links if isinstance(one, dict)] if isinstance(links, list) else []
    return [
        {**link, "href": _absolute(base, link["href"])}
        for link in usable
        if isinstance(link.get("href"), str) and isinstance(link.get("rel"), str) and link["rel"] != "self"
    ]


def _absolute(base: str, href: str) -> str:
    """`href` seen from `base`; urljoin alone knows nothing of s3://."""
    try:
        if urlsplit(href).scheme:
            return href
    except ValueError as error:
        raise ProviderAnswerInvalid(f"a href in {base} is no URL: {error}") from error
    parts = urlsplit(base)
    if parts.scheme in ("http", "https", "file", ""):
        return urljoin(base, href)
    path = posixpath.normpath(posixpath.join(posixpath.dirname(parts.path), href))
    return f"{parts.scheme}://{parts.netloc}{path}"
