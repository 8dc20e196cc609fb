"""Clips and encoded files set aside on disk, so that one share's pixels do not wait in memory for another's."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from imagery.errors import ObjectStoreUnavailable
from imagery.raster.clip import Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class Aside:
    """One share's folder, its own; made when the first file comes. Raises ObjectStoreUnavailable when it is full."""

    folder: Path

    def put_clip(self, name: str, clip: Clip) -> None:
        """Over what was there of this name."""
        with self._written(self._path(name, "clip")) as file:
            pickle.dump(clip, file, protocol=5)

    def clip(self, name: str) -> Clip:
        """What was put there: read again at each call, and held by nobody but the caller."""
        with _translated(), self._path(name, "clip").open("rb") as file:
            clip: Clip = pickle.load(file)
        return clip

    def has_clip(self, name: str) -> bool:
        return self._path(name, "clip").exists()

    def put_file(self, name: str, body: bytes) -> Path:
        """Where it lies."""
        path = self._path(name, "tif")
        with self._written(path) as file:
            file.write(body)
        return path

    def _path(self, name: str, suffix: str) -> Path:
        # An asset key may hold anything a provider likes, and be of any length.
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"{digest[:32]}.{suffix}"

    @contextmanager
    def _written(self, path: Path) -> Iterator[BinaryIO]:
        with _translated():
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                yield file


@contextmanager
def _translated() -> Iterator[Any]:
    try:
        yield
    except OSError as error:
        raise ObjectStoreUnavailable(
            f"a clip could not be set aside before it is stored ({error}); make room there, or set TMPDIR"
        ) from error
