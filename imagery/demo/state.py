"""The demo's own folder: what a second run goes on with, the API key among it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from imagery import __version__
from imagery.errors import AlreadyRunning, ImageryError, KeyUnknown, SettingsInvalid
from imagery.service.keys import Keys
from imagery.settings import Settings
from imagery.wiring import build

OWNER = "demo"
_LOCK, _MARKER = "lock", "imagery-demo.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class StateDir:
    """A folder that only one demo works in."""

    path: Path
    """Absolute."""

    @property
    def service(self) -> Path:
        """The service's data directory."""
        return self.path / "service"

    @property
    def sandbox(self) -> Path:
        """Synthetic scenes."""
        return self.path / "sandbox"

    @property
    def key_file(self) -> Path:
        """The API key of the owner `demo`; for its owner's eyes only."""
        return self.path / "api-key"

    def api_key(self, keys: Keys) -> str:
        """The key of the last run while it opens anything, else a new one."""
        try:
            text = self.key_file.read_text("utf-8").strip()
            keys.authenticate(text)
        except (FileNotFoundError, KeyUnknown):
            _, text = keys.create(OWNER)
            self._keep(text)
        return text

    def keep_url(self, api_url: str) -> None:
        """For notebooks and scripts beside the key: where the service of the last demo was reached."""
        (self.path / "url").write_text(api_url + "\n", encoding="utf-8")

    def forget(self) -> None:
        """Remove what earlier demos left. Raises AlreadyRunning while a service works on it."""
        if self.service.is_dir():
            self._refuse_if_in_use()
        for folder in (self.service, self.sandbox):
            shutil.rmtree(folder, ignore_errors=True)
        self.key_file.unlink(missing_ok=True)

    def _refuse_if_in_use(self) -> None:
        try:
            with build(Settings(data_dir=self.service)) as imagery:
                imagery.engine.start_working()
        except AlreadyRunning:
            raise
        except ImageryError:
            # It cannot even be opened: one more reason to start afresh.
            return

    def _keep(self, text: str) -> None:
        """Whole or not at all, and never readable by others, not even for a moment."""
        partial = self.key_file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.key_file)


@contextmanager
def open_state(path: Path) -> Iterator[StateDir]:
    """The folder, made if it is not there. Raises AlreadyRunning, SettingsInvalid when it is somebody else's."""
    path = path.absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / _LOCK).open("a")
    except OSError as error:
        raise SettingsInvalid(
            f"{path} cannot be used ({error.strerror}); choose another folder with --state-dir", field="--state-dir"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunning(
                f"another `imagery demo` works in {path}; end it, or choose another folder with --state-dir"
            ) from error
        _claim(path)
        yield StateDir(path=path)


def _claim(path: Path) -> None:
    marker = path / _MARKER
    if marker.is_file():
        return
    strangers = sorted(each.name for each in path.iterdir() if each.name != _LOCK)
    if strangers:
        (path / _LOCK).unlink()
        raise SettingsInvalid(
            f"{path} holds other things ({strangers[0]}); choose an empty folder with --state-dir", field="--state-dir"
        )
    marker.write_text(json.dumps({"made_by": f"imagery {__version__}, demo"}) + "\n", "utf-8")
