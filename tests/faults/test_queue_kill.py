"""A worker killed with kill -9 while it holds a request: the request comes back, whole and once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from imagery.model.request import Request, RequestKind
from imagery.model.subscription import Priority
from imagery.ports import VISIBILITY_TIMEOUT
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.stores.sqlite.database import Database

PRELUDE = """
import os, signal, sys
from datetime import UTC, datetime
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.stores.sqlite.database import Database
now = datetime.fromisoformat(sys.argv[2])
database = Database(sys.argv[1])
queue = SqliteProcessingQueue(database, clock=lambda: now)
"""
DIES_HOLDING = PRELUDE + "print(queue.receive(1)[0].receipt, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
DIES_WHILE_RECEIVING = PRELUDE + "with database.write(): queue.receive(1); os.kill(os.getpid(), signal.SIGKILL)"
DIES_WHILE_ACKNOWLEDGING = PRELUDE + (
    "receipt = queue.receive(1)[0].receipt\n"
    "with database.write(): queue.acknowledge(receipt); os.kill(os.getpid(), signal.SIGKILL)"
)
DIES_AFTER_ACKNOWLEDGING = PRELUDE + (
    "queue.acknowledge(queue.receive(1)[0].receipt); os.kill(os.getpid(), signal.SIGKILL)"
)


def request(item_id: str, now: datetime) -> Request:
    return Request.for_item(
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="earth-search",
        collection="sentinel-2-l2a",
        item_id=item_id,
        item_updated_at=None,
        subscription_ids=["sub_1"],
        now=now,
    )


def run_until_killed(script: str, path: Path, now: datetime) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), now.isoformat()],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    return done.stdout.strip()


def test_a_request_held_by_a_killed_worker_comes_back_after_its_timeout(tmp_path, clock):
    path = tmp_path / "state.sqlite"
    with Database(path) as database:
        queue = SqliteProcessingQueue(database, clock=clock)
        queue.send([request("a", clock.now)])
        receipt = run_until_killed(DIES_HOLDING, path, clock.now)
        assert queue.receive(1) == ()
        clock.advance(VISIBILITY_TIMEOUT)
        (message,) = queue.receive(10)
        assert message.request == request("a", clock.now - VISIBILITY_TIMEOUT)
        assert (message.receipt != receipt, message.deliveries) == (True, 2)


@pytest.mark.parametrize(
    ("script", "at_once", "after_timeout"),
    [
        (DIES_WHILE_RECEIVING, 1, 1),
        (DIES_WHILE_ACKNOWLEDGING, 0, 1),
        (DIES_AFTER_ACKNOWLEDGING, 0, 0),
    ],
    ids=["receiving", "acknowledging", "acknowledged"],
)
def test_a_worker_killed_between_any_two_writes_loses_and_repeats_nothing(
    tmp_path, clock, script, at_once, after_timeout
):
    path = tmp_path / "state.sqlite"
    with Database(path) as database:
        queue = SqliteProcessingQueue(database, clock=clock)
        queue.send([request("a", clock.now)])
        run_until_killed(script, path, clock.now)
        assert len(queue.peek(10)) == at_once
        clock.advance(VISIBILITY_TIMEOUT)
        assert len(queue.receive(10)) == after_timeout
        assert queue.depth()[Priority.NORMAL] == after_timeout


def test_a_killed_writer_gives_up_its_turn_and_half_a_transaction_is_none(tmp_path):
    path = tmp_path / "state.sqlite"
    now = datetime(2026, 5, 1, tzinfo=UTC)
    script = PRELUDE + (
        "from tests.contract.examples import a_request\n"
        "with database.write(): queue.send([a_request('b')]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    with Database(path, patience=timedelta(seconds=5)) as database:
        queue = SqliteProcessingQueue(database, clock=lambda: now)
        run_until_killed(script, path, now)
        queue.send([request("a", now)])
        assert [message.request.item_ids for message in queue.receive(10)] == [("a",)]
