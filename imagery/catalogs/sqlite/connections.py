"""SQLite connections of one process: many readers, one writer at a time over all processes; its errors translated."""

from __future__ import annotations

import contextlib
import math
import queue
import sqlite3
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import shapely

from imagery.catalogs.sqlite import schema
from imagery.catalogs.sqlite.instants import us_or_none
from imagery.errors import CatalogUnavailable, FilterInvalid
from imagery.turn import Turn

READERS = 8
WAIT_S = 60.0
"""How long a reader waits for its turn in this process, and a writer for its turn on this host."""

# What SQLite says of a statement that only a caller's filter can have made.
_TOO_MUCH = (
    "too large",
    "too many",
    "parser stack overflow",
    "pattern too complex",
    "integer overflow",
    "too big",
    "user-defined function raised",
)


class Session:
    """One connection and the geometries that its running statement refers to by number."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.geometries: list[Any] = []
        self.deadline: float | None = None
        """Of `time.monotonic`; None: no limit."""

        db.create_function("st_rel", 3, self._relate, deterministic=True)
        db.create_function("rfc_us", 1, us_or_none, deterministic=True)
        db.create_function("casefold", 1, _casefold, deterministic=True)
        db.create_function("unaccent", 1, _unaccent, deterministic=True)
        db.create_function("power", 2, _power, deterministic=True)
        db.set_progress_handler(self._overdue, 10_000)

    def _overdue(self) -> int:
        return int(self.deadline is not None and time.monotonic() > self.deadline)

    def _relate(self, relation: str, wkb: bytes, number: int) -> int:
        # SQLite looks at the clock between many rows only, and few rows can be costly ones.
        if self._overdue():
            self.db.interrupt()
            return 0
        # The registered geometry is the prepared one, so it asks; hence the turned words.
        turned = {"within": "contains", "contains": "within"}.get(relation, relation)
        return int(getattr(self.geometries[number], turned)(shapely.from_wkb(wkb)))


class Connections:
    """All of one process. Must not be used on the other side of a fork."""

    def __init__(self, path: Path, *, indexed: Sequence[str], query_timeout_s: float, wait_s: float = WAIT_S) -> None:
        self.path = path
        self._indexed = tuple(indexed)
        self._query_timeout_s = query_timeout_s
        self._wait_s = wait_s
        self._idle: queue.LifoQueue[Session] = queue.LifoQueue()
        self._places = threading.Semaphore(READERS)
        self._turn = Turn(Path(f"{path}.lock"), patience=timedelta(seconds=wait_s), late=CatalogUnavailable)
        self._writer_used = threading.Lock()
        self._writer: Session | None = None
        self._closed = False

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """A snapshot of the catalog. Raises CatalogUnavailable, and FilterInvalid for a query that costs too much."""
        self._ensure_schema()
        if not self._places.acquire(timeout=self._wait_s):
            raise CatalogUnavailable("the catalog is busy; try again later")
        try:
            with _translated(self.path):
                session = self._take()
                try:
                    session.deadline = time.monotonic() + self._query_timeout_s
                    session.db.execute("BEGIN")
                    yield session
                finally:
                    self._give_back(session)
        finally:
            self._places.release()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed and durable at the end of the block, or undone when it raises."""
        self._ensure_schema()
        with self._writing() as session:
            session.db.execute("BEGIN IMMEDIATE")
            try:
                yield session.db
                session.db.execute("COMMIT")
            finally:
                if session.db.in_transaction:
                    session.db.execute("ROLLBACK")

    def close(self) -> None:
        """Close what is idle; what is in use closes when it comes back."""
        self._closed = True
        with self._writer_used:
            if self._writer is not None:
                self._writer.db.close()
                self._writer = None
        while True:
            try:
                self._idle.get_nowait().db.close()
            except queue.Empty:
                return

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Session]:
        with _translated(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._turn.taken(), self._writer_used:
                if self._writer is None:
                    self._writer = self._open_prepared()
                yield self._writer

    def _ensure_schema(self) -> None:
        if self._writer is None:
            with self._writing():
                pass

    def _open_prepared(self) -> Session:
        session = self._open()
        try:
            schema.prepare(session.db, indexed=self._indexed)
        except BaseException:
            session.db.close()
            raise
        return session

    def _take(self) -> Session:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._open()

    def _give_back(self, session: Session) -> None:
        session.geometries = []
        session.deadline = None
        if session.db.in_transaction:
            session.db.execute("ROLLBACK")
        if self._closed:
            session.db.close()
        else:
            self._idle.put(session)

    def _open(self) -> Session:
        db = sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        for pragma in (
            "synchronous = FULL",
            "cache_size = -8000",
            "case_sensitive_like = ON",
            "temp_store = MEMORY",
            "journal_size_limit = 67108864",
        ):
            db.execute(f"PRAGMA {pragma}")
        return Session(db)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        said = str(error)
        if said == "interrupted":
            raise FilterInvalid("the search takes too long; name a collection, an area or a time span") from error
        if any(words in said for words in _TOO_MUCH):
            raise FilterInvalid(f"the search asks for more than the catalog can compute ({said})") from error
        raise CatalogUnavailable(
            f"the catalog {path} cannot be used: {said}; check its disk and permissions"
        ) from error


def _casefold(text: str | float | None) -> str | float | None:
    return text.casefold() if isinstance(text, str) else text


def _unaccent(text: str | float | None) -> str | float | None:
    if not isinstance(text, str):
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _power(base: object, exponent: object) -> float | None:
    if not isinstance(base, int | float) or not isinstance(exponent, int | float):
        return None
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):
        return None
