"""Versions of a product: which one an item is, what came before it, and what took its place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pystac

from imagery.errors import ItemInvalid
from imagery.items.checks import to_rfc3339
from imagery.items.extensions import used_extensions

_MEDIA_TYPE = "application/geo+json"


def item_from_dict(body: Mapping[str, Any]) -> pystac.Item:
    """An item of ours from its JSON, `body` left as it is. pystac alone warns of one that is deprecated.

    That would be told to the wrong person: who supersedes an item knows. To silence a warning is to silence it in all
    threads, so it is not given cause.
    """
    properties = dict(body["properties"])
    said = properties.pop("deprecated", None)
    item = pystac.Item.from_dict({**body, "properties": properties})
    if said is not None:
        item.properties["deprecated"] = said
    return item


def version_of(version: int) -> dict[str, Any]:
    """The properties that say which state of its acquisition an item shows. Raises ItemInvalid."""
    if version < 1:
        raise ItemInvalid(f"versions count from 1, not {version}", field="/properties/version")
    return {"version": str(version)}


def sibling_link(rel: str, item_id: str) -> pystac.Link:
    """To another item of the same collection, relative to the address of the item it stands in; our API resolves it."""
    return pystac.Link(rel, f"./{item_id}", media_type=_MEDIA_TYPE, title=item_id)


def superseded(
    item: pystac.Item, *, successor_id: str, expires_at: datetime, updated_at: datetime | None = None
) -> pystac.Item:
    """A copy of a published item that says that it is deprecated, what took its place, and when it will be removed.

    `updated_at` is when that was known; None leaves `updated` as it was. Safe to repeat, also with another successor.
    No link `latest-version` is written: whoever follows `successor-version` to its end is there, and none goes stale.

    Raises ItemInvalid if an item is to be its own successor.
    """
    if successor_id == item.id:
        raise ItemInvalid(f"{item.id} cannot take its own place", field="/links")
    old = item.clone()
    old.properties |= {"deprecated": True, "expires": to_rfc3339(expires_at)}
    old.properties.setdefault("version", "1")
    if updated_at is not None:
        old.properties["updated"] = to_rfc3339(updated_at)
    declared = used_extensions({"properties": old.properties, "assets": {}})
    old.stac_extensions = sorted({*old.stac_extensions, *declared})
    old.links = [link for link in old.links if link.rel != "successor-version"]
    old.add_link(sibling_link("successor-version", successor_id))
    return old
