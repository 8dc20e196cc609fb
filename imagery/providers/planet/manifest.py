"""An order's manifest: how large each file is, and by which digests it is known. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imagery.errors import ProviderAnswerInvalid

_CHUNK = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What the manifest says of one file."""

    path: str
    size: int | None
    md5: str | None
    sha256: str | None
    item_id: str | None
    """Of its annotations."""

    asset_key: str | None


def parse_manifest(body: bytes) -> tuple[Listed, ...]:
    """Raises ProviderAnswerInvalid."""
    try:
        files = json.loads(body)["files"]
        return tuple(_listed(one) for one in files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProviderAnswerInvalid(f"Planet's manifest cannot be read: {type(error).__name__}: {error}") from error


def listed_as(name: str, manifest: Sequence[Listed]) -> Listed | None:
    """The entry of a result: by its path, which may be bare or below the order's id; None: the manifest has none."""
    wanted = PurePosixPath(name)
    for one in manifest:
        path = PurePosixPath(one.path)
        if wanted == path or wanted.parts[-len(path.parts) :] == path.parts:
            return one
    same_name = [one for one in manifest if PurePosixPath(one.path).name == wanted.name]
    return same_name[0] if len(same_name) == 1 else None


def mismatch(path: Path, listed: Listed) -> str | None:
    """How a file differs from what the manifest says; None: it does not."""
    size = path.stat().st_size
    if listed.size is not None and size != listed.size:
        return f"{size} bytes where the manifest says {listed.size}"
    for kind, wanted in (("sha256", listed.sha256), ("md5", listed.md5)):
        if wanted is not None:
            # md5 is Planet's choice of a checksum, not our means of security.
            digest = hashlib.new(kind, usedforsecurity=False)
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
            return None if digest.hexdigest() == wanted.lower() else f"its {kind} is not the manifest's"
    return None


def _listed(said: Mapping[str, object]) -> Listed:
    digests, notes = said.get("digests"), said.get("annotations")
    digests = digests if isinstance(digests, Mapping) else {}
    notes = notes if isinstance(notes, Mapping) else {}
    size = said.get("size")
    return Listed(
        path=str(said["path"]),
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        md5=_text(digests.get("md5")),
        sha256=_text(digests.get("sha256")),
        item_id=_text(notes.get("planet/item_id")),
        asset_key=_text(notes.get("planet/asset_type")),
    )


def _text(said: object) -> str | None:
    return said if isinstance(said, str) and said else None
