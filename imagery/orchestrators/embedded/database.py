"""The engine's SQLite file: its tables, how it is opened, and how writers of several processes take turns."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

from imagery.errors import StoreUnavailable
from imagery.turn import Turn

BUSY_TIMEOUT_S = 30.0

PATIENCE = timedelta(seconds=30)
"""How long a writer waits for its turn before it says that another process holds it."""

# AUTOINCREMENT: SQLite hands the rowid of a deleted row out again, and a late result would then hit a stranger's frame.
SCHEMA = """
CREATE TABLE IF NOT EXISTS definition (hash TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS execution (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    definition TEXT NOT NULL,
    status TEXT NOT NULL,
    input TEXT, output TEXT, error TEXT, cause TEXT,
    started_at TEXT NOT NULL,
    stopped_at TEXT,
    due REAL,                             -- when the machine's own TimeoutSeconds ends
    events INTEGER NOT NULL DEFAULT 0,
    entered INTEGER NOT NULL DEFAULT 0,   -- 0 until its first state was entered
    forgotten INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS execution_fresh ON execution (number) WHERE entered = 0;
CREATE INDEX IF NOT EXISTS execution_status ON execution (status, number);
CREATE INDEX IF NOT EXISTS execution_due ON execution (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS execution_stopped ON execution (stopped_at) WHERE forgotten = 0 AND stopped_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS frame (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    execution INTEGER NOT NULL,
    parent INTEGER,
    position INTEGER,                     -- among the parent's children
    location TEXT NOT NULL, state TEXT NOT NULL,
    data TEXT NOT NULL, variables TEXT NOT NULL, attempts TEXT NOT NULL, item TEXT,
    seq INTEGER NOT NULL,                 -- grows with every transition; a completion for an older one is dropped
    status TEXT NOT NULL,
    due REAL,                             -- when a timer fires: end of sleep, next try, timeout or heartbeat
    timeout_due REAL, heartbeat_s INTEGER,
    token TEXT,
    entered_at TEXT, entered_event INTEGER NOT NULL,
    remaining INTEGER, failed INTEGER, tolerated INTEGER
);
CREATE INDEX IF NOT EXISTS frame_execution ON frame (execution);
CREATE INDEX IF NOT EXISTS frame_due ON frame (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS frame_runnable ON frame (id) WHERE status IN ('ready', 'step');
CREATE INDEX IF NOT EXISTS frame_parent ON frame (parent, status, position) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS frame_token ON frame (token) WHERE token IS NOT NULL;

CREATE TABLE IF NOT EXISTS history (
    execution INTEGER NOT NULL, number INTEGER NOT NULL,
    at TEXT NOT NULL, type TEXT NOT NULL, state TEXT, detail TEXT NOT NULL,
    PRIMARY KEY (execution, number)
) WITHOUT ROWID;

-- Callbacks received by a process that is not the working one; the working one takes them up.
CREATE TABLE IF NOT EXISTS callback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    token TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS callback_once ON callback (token) WHERE kind <> 'heartbeat';

DROP INDEX IF EXISTS frame_active;
CREATE INDEX IF NOT EXISTS frame_at_work ON frame (execution) WHERE status IN ('ready', 'step');
-- Counted as they change: counting them when asked would walk years of executions. In one transaction, so that those
-- of a file from before there were counters are counted neither twice nor not at all.
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS execution_count (status TEXT PRIMARY KEY, executions INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO execution_count SELECT status, count(*) FROM execution GROUP BY status;
CREATE TRIGGER IF NOT EXISTS execution_came AFTER INSERT ON execution BEGIN
    INSERT INTO execution_count (status, executions) VALUES (new.status, 1)
    ON CONFLICT (status) DO UPDATE SET executions = executions + 1;
END;
CREATE TRIGGER IF NOT EXISTS execution_moved AFTER UPDATE OF status ON execution WHEN old.status <> new.status BEGIN
    UPDATE execution_count SET executions = executions - 1 WHERE status = old.status;
    INSERT INTO execution_count (status, executions) VALUES (new.status, 1)
    ON CONFLICT (status) DO UPDATE SET executions = executions + 1;
END;
COMMIT;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode with the tables in place, usable from any one thread at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        newest = "SELECT count(*) FROM sqlite_master WHERE name IN ('frame_at_work', 'execution_moved')"
        if database.execute(newest).fetchone()[0] < 2:
            with write_turn(path).taken():
                database.executescript(SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"the orchestrator's database {path} cannot be opened: {error}") from error
    return database


def open_memory() -> sqlite3.Connection:
    """The same tables, gone when closed."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.row_factory = sqlite3.Row
    database.executescript(SCHEMA)
    return database


def write_turn(path: Path, *, patience: timedelta = PATIENCE) -> Turn:
    """Whose turn it is to write this database; one for a process's threads, all of them for the processes."""
    return Turn(path.with_name(path.name + ".writing"), patience=patience)


def lock_for_working(path: Path) -> IO[str] | None:
    """The open file that holds the right to work on this database, or None if another process has it."""
    lock = path.with_name(path.name + ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing; durable when left."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.rollback()
        raise
    try:
        database.execute("COMMIT")
    except sqlite3.Error:
        database.rollback()
        raise
