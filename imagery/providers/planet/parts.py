"""A file under way: what is there of it is gone on with, by one at a time. Knows no network."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagery.errors import ProviderAnswerInvalid


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Where to write until it is whole: what an earlier try left, or a file of its own while another writes there.

    A step that timed out may go on behind the back of its next try. Left as it is after an error, so that it can be
    gone on with, except when it is none (ProviderAnswerInvalid).
    """
    common = path.with_name(path.name + ".part")
    with common.open("ab") as held:
        is_ours = _is_ours(held.fileno(), common)
        part = common if is_ours else path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        try:
            yield part
        except ProviderAnswerInvalid:
            part.unlink(missing_ok=True)
            raise
        finally:
            if not is_ours:
                part.unlink(missing_ok=True)


def _is_ours(descriptor: int, common: Path) -> bool:
    """Locked by us for as long as it is open, and still the file of that name: another may just have moved it away."""
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), common.stat())
    return False
