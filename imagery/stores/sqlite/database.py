"""One SQLite file: connections, transactions, migrations, and a fair queue of writers. Knows no table but its own."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from queue import Empty, Full, LifoQueue
from types import TracebackType

from imagery.errors import SettingsInvalid, StoreUnavailable
from imagery.model.codec import to_seconds
from imagery.turn import Turn

APPLICATION_ID = 0x494D4752
"""`IMGR`, in the file's header: tells our file from another program's."""

IDLE_READERS = 8

OLDEST = (3, 35)


class Database:
    """A file that many threads and processes read and write at once.

    Local disk and one host only (WAL). Open it after a fork, never before: SQLite's locks do not survive one.
    Losing the process loses nothing that was committed; neither does losing power (`synchronous=FULL`).
    """

    def __init__(self, path: Path | str, *, patience: timedelta = timedelta(seconds=10)) -> None:
        """Open or make the file. `patience` is how long a writer waits for its turn before StoreUnavailable.

        Raises SettingsInvalid when the file cannot be ours: not a database, another program's, no WAL here.
        """
        self.path = Path(path)
        self._patience = patience
        self._readers: LifoQueue[sqlite3.Connection] = LifoQueue(maxsize=IDLE_READERS)
        self._joined = threading.local()
        self._closed = False
        self._pid = os.getpid()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._turn = Turn(self.path.with_name(self.path.name + ".lock"), patience=patience)
            with self._turn.taken():
                self._writer = self._opened()
        except OSError as error:
            raise SettingsInvalid(
                f"{self.path} cannot be opened ({error}); choose a folder this user may write to"
            ) from error

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections; those in use end with their transaction. Safe to repeat."""
        if self._closed:
            return
        self._closed = True
        with suppress(StoreUnavailable), self._turn.taken():
            self._writer.close()
        self._close_readers()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One snapshot of everything committed; inside `write` of the same thread, that transaction's own view."""
        joined = self._connection_of_this_thread()
        if joined is not None:
            yield joined
            return
        self._refuse_if_closed()
        with self._translated():
            connection = self._reader()
            try:
                connection.execute("BEGIN")
                yield connection
            finally:
                self._give_back(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is durable when the block ends, or none if it raises.

        Inside another `write` of the same thread it is part of that one, so that several stores can be saved together.
        """
        joined = self._connection_of_this_thread()
        if joined is not None:
            with _savepoint(joined):
                yield joined
            return
        self._refuse_if_closed()
        with self._translated(), self._turn.taken():
            self._refuse_if_closed()
            with _transaction(self._writer):
                self._joined.connection = self._writer
                try:
                    yield self._writer
                finally:
                    self._joined.connection = None

    def migrate(self, subject: str, steps: Sequence[Sequence[str]]) -> None:
        """Bring the tables of one subject up to date: `steps[n]` are the statements that lead from version n to n + 1.

        Steps already taken are never run again, so a step is not edited once released. Raises SettingsInvalid when a
        newer release has taken more steps than are known here.
        """
        if self._version(subject) == len(steps):
            return
        with self.write() as connection:
            version = _version(connection, subject)
            if version > len(steps):
                raise SettingsInvalid(
                    f"{self.path} was written by a newer release; upgrade, or use another data directory"
                )
            for step in steps[version:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(
                "INSERT OR REPLACE INTO migration (subject, version) VALUES (?, ?)", (subject, len(steps))
            )

    def _version(self, subject: str) -> int:
        with self.read() as connection:
            return _version(connection, subject)

    def _connection_of_this_thread(self) -> sqlite3.Connection | None:
        connection: sqlite3.Connection | None = getattr(self._joined, "connection", None)
        return connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable(f"{self.path} was closed: the service is stopping")
        if os.getpid() != self._pid:
            raise RuntimeError(f"{self.path} was opened before a fork; open it in the child process")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            raise StoreUnavailable(
                f"{self.path}: {error}; check that its disk is not full and that no other program keeps it locked"
            ) from error

    def _close_readers(self) -> None:
        with suppress(Empty):
            while True:
                self._readers.get_nowait().close()

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except Empty:
            return self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            connection.rollback()
        try:
            self._readers.put_nowait(connection)
        except Full:
            connection.close()
        if self._closed:
            self._close_readers()

    def _connect(self) -> sqlite3.Connection:
        # Connections wander between threads, one thread at a time: SQLite itself is built for that (THREADSAFE=1).
        connection = sqlite3.connect(
            self.path, timeout=to_seconds(self._patience), isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _opened(self) -> sqlite3.Connection:
        """The writer's connection, to a file that is known to be ours."""
        try:
            connection = self._connect()
        except sqlite3.DatabaseError as error:
            raise SettingsInvalid(f"{self.path} cannot be opened as a database ({error}); move it away") from error
        try:
            self._claim(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            raise SettingsInvalid(f"{self.path} cannot be opened as a database ({error}); move it away") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _claim(self, connection: sqlite3.Connection) -> None:
        has_rtree = connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'rtree'").fetchone()
        if sqlite3.sqlite_version_info < OLDEST or has_rtree is None:
            raise SettingsInvalid(
                f"this Python's SQLite is {sqlite3.sqlite_version}; at least 3.35 with R*Tree is needed: "
                "use a Python from python.org, Debian, Ubuntu or Homebrew"
            )
        application_id = connection.execute("PRAGMA application_id").fetchone()[0]
        has_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0
        if has_tables and application_id != APPLICATION_ID:
            raise SettingsInvalid(f"{self.path} is another program's database; use another data directory")
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise SettingsInvalid(f"{self.path}: no write-ahead log here; use a folder on a local disk")
        with _transaction(connection):
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (subject TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )


def _version(connection: sqlite3.Connection, subject: str) -> int:
    row = connection.execute("SELECT version FROM migration WHERE subject = ?", (subject,)).fetchone()
    return row["version"] if row else 0


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A failed COMMIT (disk full) leaves the transaction open; some errors have ended it already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def _savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("SAVEPOINT joined")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO joined")
            connection.execute("RELEASE joined")
        raise
    connection.execute("RELEASE joined")
