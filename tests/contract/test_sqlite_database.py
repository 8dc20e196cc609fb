"""What the stores may lean on: one file, one transaction over several stores, and errors a person can act on."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from imagery.errors import SettingsInvalid, StoreUnavailable
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.ledger import SqliteLedger

from .examples import a_request, an_outcome

A_NUMBER = (("CREATE TABLE number (value INTEGER)",),)


@pytest.fixture
def database(tmp_path):
    with Database(tmp_path / "state.sqlite") as opened:
        opened.migrate("number", A_NUMBER)
        yield opened


def insert(database: Database, value: int) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO number VALUES (?)", (value,))


def values(database: Database) -> list[int]:
    with database.read() as connection:
        return [row[0] for row in connection.execute("SELECT value FROM number ORDER BY value")]


def test_a_ledger_row_and_a_request_are_saved_together_or_not_at_all(database, clock):
    ledger, queue = SqliteLedger(database), SqliteProcessingQueue(database, clock=clock)
    with pytest.raises(ZeroDivisionError), database.write():
        ledger.record(an_outcome())
        queue.send([a_request()])
        assert ledger.get("sub_1", "item") is not None
        raise ZeroDivisionError
    assert ledger.get("sub_1", "item") is None
    assert queue.receive(1) == ()
    with database.write():
        ledger.record(an_outcome())
        queue.send([a_request()])
    assert ledger.get("sub_1", "item") is not None
    assert len(queue.receive(1)) == 1


def test_a_part_that_fails_is_undone_alone_when_the_rest_goes_on(database):
    with database.write():
        insert(database, 1)
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            connection.execute("INSERT INTO number VALUES (2)")
            raise ZeroDivisionError
        insert(database, 3)
    assert values(database) == [1, 3]


def test_a_reader_does_not_wait_for_a_writer_and_sees_only_what_is_committed(database):
    insert(database, 1)
    with database.write() as connection, ThreadPoolExecutor(1) as pool:
        connection.execute("INSERT INTO number VALUES (2)")
        assert pool.submit(values, database).result(5) == [1]


def test_writers_in_many_threads_wait_their_turn(database):
    def count_up(_: int) -> None:
        with database.write() as connection:
            highest = connection.execute("SELECT coalesce(max(value), 0) FROM number").fetchone()[0]
            connection.execute("INSERT INTO number VALUES (?)", (highest + 1,))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(count_up, range(100)))
    assert values(database) == list(range(1, 101))


def test_a_writer_whose_turn_does_not_come_in_time_is_told_and_the_turn_is_not_lost(tmp_path):
    path = tmp_path / "state.sqlite"
    patience = timedelta(milliseconds=50)
    with Database(path, patience=patience) as one, Database(path, patience=patience) as other:
        one.migrate("number", A_NUMBER)
        held, over = threading.Event(), threading.Event()

        def hold() -> None:
            with one.write():
                held.set()
                over.wait(10)

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(hold)
            held.wait(10)
            for impatient in (one, other):
                with pytest.raises(StoreUnavailable, match="try again"):
                    insert(impatient, 1)
            over.set()
            holding.result(10)
        insert(one, 2)
        insert(other, 3)
        assert values(other) == [2, 3]


def test_a_program_that_locks_the_file_without_asking_makes_it_unavailable(tmp_path):
    path = tmp_path / "state.sqlite"
    with Database(path, patience=timedelta(milliseconds=50)) as database:
        database.migrate("number", A_NUMBER)
        stranger = sqlite3.connect(path, isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            insert(database, 1)
        stranger.execute("ROLLBACK")
        stranger.close()
        insert(database, 2)
        assert values(database) == [2]


def test_a_closed_database_is_unavailable_and_may_be_closed_again(database):
    database.close()
    database.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        values(database)
    with pytest.raises(StoreUnavailable, match="closed"):
        insert(database, 1)


def test_a_step_of_a_migration_is_taken_once(database):
    insert(database, 1)
    steps = (*A_NUMBER, ("ALTER TABLE number ADD COLUMN name TEXT DEFAULT 'x'",))
    database.migrate("number", steps)
    database.migrate("number", steps)
    with database.read() as connection:
        assert [tuple(row) for row in connection.execute("SELECT value, name FROM number")] == [(1, "x")]


def test_a_step_that_fails_leaves_everything_as_it_was(database):
    with pytest.raises(StoreUnavailable):
        database.migrate("number", (*A_NUMBER, ("ALTER TABLE number ADD COLUMN name TEXT", "nonsense")))
    database.migrate("number", (*A_NUMBER, ("ALTER TABLE number ADD COLUMN name TEXT",)))


def test_a_file_of_a_newer_release_is_refused(database):
    database.migrate("number", (*A_NUMBER, ("ALTER TABLE number ADD COLUMN name TEXT",)))
    with pytest.raises(SettingsInvalid, match="newer release"):
        database.migrate("number", A_NUMBER)


def test_a_file_that_is_no_database_of_ours_is_refused_and_left_alone(tmp_path):
    text, strangers = tmp_path / "text", tmp_path / "strangers.sqlite"
    text.write_text("no database at all, but a long enough text" * 50)
    with sqlite3.connect(strangers) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = strangers.read_bytes()
    for path in (text, strangers):
        with pytest.raises(SettingsInvalid, match=str(path)):
            Database(path)
    assert strangers.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsInvalid, match="choose a folder"):
        Database(tmp_path / "file" / "state.sqlite")


def test_processes_that_make_the_file_at_once_all_open_it(tmp_path):
    path = tmp_path / "new" / "state.sqlite"
    script = (
        "import sys; from imagery.stores.sqlite.database import Database; sys.stdin.readline()\n"
        f"with Database({str(path)!r}) as database:\n"
        "    database.migrate('number', (('CREATE TABLE number (value INTEGER)',),))\n"
        "    with database.write() as connection: connection.execute('INSERT INTO number VALUES (1)')"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        process.communicate("go\n", timeout=60)
    assert [process.returncode for process in processes] == [0] * 4
    with Database(path) as database:
        assert values(database) == [1] * 4


def test_more_readers_than_are_kept_at_hand_read_at_once_while_one_closes(tmp_path):
    database = Database(tmp_path / "state.sqlite")
    database.migrate("number", A_NUMBER)
    insert(database, 1)
    together = threading.Barrier(20)

    def read(_: int) -> int:
        with database.read() as connection:
            together.wait(10)
            value: int = connection.execute("SELECT value FROM number").fetchone()[0]
            database.close()
            return value

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(read, range(20))) == [1] * 20


def test_an_outcome_is_durable_before_its_writer_goes_on(tmp_path):
    path = tmp_path / "state.sqlite"
    script = (
        "import os, signal; from imagery.stores.sqlite.database import Database\n"
        f"database = Database({str(path)!r})\n"
        "database.migrate('number', (('CREATE TABLE number (value INTEGER)',),))\n"
        "with database.write() as connection: connection.execute('INSERT INTO number VALUES (1)')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    with Database(path) as database:
        assert values(database) == [1]
