"""Ids of what we publish: the same for the same source (and subscription), different for any others."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

MAX_ID_LENGTH = 160
"""Ids become file names and URL segments: 255 bytes is the narrowest limit, and suffixes need their share."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SUBSCRIPTION = re.compile(r"[A-Za-z0-9._]+")
"""Without a hyphen, so that the last `--` of a published id always is the seam."""

_HASHED = re.compile(r".*\.[0-9a-f]{16}")
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_MADE = re.compile(r".*\.(m[0-9a-f]{8}|v[0-9]+)=*", re.DOTALL)
"""A source id that could be taken for the name of a product that is more than one source, or not the first."""


def product_name(sources: Sequence[str], version: int) -> str:
    """What stands for the source's id in the published id of a product of these source items, the one on top first.

    The first version of one source is its id; a mosaic is `<first>.m<hash of all>`, a later version `….v<version>`. A
    source id that already ends like that is marked, so that no two products have one name.
    """
    if not sources or version < 1:
        raise ValueError(f"a product has sources and a version from 1, not {list(sources)} and {version}")
    name = f"{sources[0]}=" if _MADE.fullmatch(sources[0]) else sources[0]
    if len(sources) > 1:
        name += f".m{hashlib.sha256(json.dumps(list(sources)).encode()).hexdigest()[:8]}"
    return name if version == 1 else f"{name}.v{version}"


def published_item_id(source_item_id: str, subscription_id: str) -> str:
    """`<source item id>--<subscription id>`, of letters, digits, `.`, `_` and `-` only.

    A source id that is too long or has other characters is shortened to what is legible, plus a hash of all of it.
    """
    subscription = subscription_id
    if not _SUBSCRIPTION.fullmatch(subscription) or _HASHED.fullmatch(subscription) or len(subscription) > 64:
        subscription = _hashed(subscription, 40).replace("-", "_")
    room = MAX_ID_LENGTH - len(subscription) - len("--")
    source = source_item_id
    # One that looks as if hashed is hashed as well: else it could be the name of another's hash.
    if not _PLAIN.fullmatch(source) or _HASHED.fullmatch(source) or len(source) > room:
        source = _hashed(source, room)
    return f"{source}--{subscription}"


def published_collection_id(source_collection_id: str) -> str:
    """The collection our clips of a source collection are in: of the same name, made safe as an item's id is.

    `sentinel-2-l2a` stays as it is; `EO:EUM:DAT` becomes `EO_EUM_DAT.` and a hash.
    """
    source = source_collection_id
    if not _PLAIN.fullmatch(source) or _HASHED.fullmatch(source) or len(source) > MAX_ID_LENGTH:
        return _hashed(source, MAX_ID_LENGTH, otherwise="collection")
    return source


def _hashed(text: str, room: int, *, otherwise: str = "item") -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    legible = _ODD.sub("_", text).strip("._-")[: room - len(digest) - 1]
    return f"{legible or otherwise}.{digest}"
