"""Opens the house for a command: settings from the environment, back ends from wiring."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagery.errors import SettingsInvalid
from imagery.model.access import Caller
from imagery.settings import Settings

if TYPE_CHECKING:
    from imagery.wiring import Imagery

OPERATOR = Caller(owner="local", operator=True)
"""Who may read the data directory sees all that is in it."""


def read_settings(**overrides: Any) -> Settings:
    """From the environment; what is given on the command line wins. Raises SettingsInvalid."""
    return Settings.from_env(os.environ, **overrides)


@contextmanager
def open_house(data_dir: Path | None, *, make: bool = False) -> Iterator[Imagery]:
    """Everything in the data directory, whether or not a service is at work on it.

    Raises SettingsInvalid when there is none: unless `make`, a mistyped name must not become an empty service.
    """
    # Rasters and the STAC API take a second to import, which `--help` should not pay for.
    from imagery.wiring import build

    settings = read_settings(data_dir=data_dir)
    if not make and not settings.data_dir.is_dir():
        raise SettingsInvalid(
            f"there is no data directory {settings.data_dir.absolute()}; "
            "start one with `imagery serve`, or name another with --data-dir",
            field="IMAGERY_DATA_DIR",
        )
    with build(settings) as imagery:
        yield imagery
