"""The scenes a sandbox is opened with: those of a folder, or synthetic ones."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from imagery.sandbox.scenes import Scenes, load_scenes
from imagery.sandbox.synthetic import make_scenes


def open_sandbox(data: Path | None, workdir: Path, now: datetime) -> Scenes:
    """The scenes below `data`, which is only read; without it synthetic ones, made below `workdir` the first time.

    Opened again with the same `workdir` the synthetic scenes are the same, whatever `now` is. Raises InvalidInput.
    """
    return make_scenes(workdir / "synthetic", now=now) if data is None else load_scenes(data)
