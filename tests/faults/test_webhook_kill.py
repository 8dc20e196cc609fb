"""kill -9 while events are told: after the next start every one has reached its receiver, under its own id."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagery.model.event import DeliveryStatus
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.outbox import SqliteOutbox
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from tests.contract.examples import a_subscription, a_webhook, an_event
from tests.unit.notifiers.receivers import Receiver, answering, in_turn, receiving

PROJECT = Path(__file__).resolve().parents[2]
SUBSCRIPTIONS, EVENTS = 8, 25
KILLS = 6
TAIL_S = 60.0
"""Within which all must have arrived; a refusal or two on the way takes five seconds each."""

DELIVERING = """
import sys, time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tests.unit.notifiers.test_deliverer import Post

with ExitStack() as stack:
    post = Post(Path(sys.argv[1]), lambda: datetime.now(UTC), stack)
    print("up", flush=True)
    while True:
        post.deliverer.run_once()
        time.sleep(0.005)
"""


def start(path: Path) -> subprocess.Popen[str]:
    """A process that delivers until it is killed."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [sys.executable, "-c", DELIVERING, str(path)], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


def statuses(path: Path) -> Counter[DeliveryStatus]:
    with Database(path) as database:
        outbox = SqliteOutbox(database)
        logs = [outbox.log(event_id(s, n)) for s in range(SUBSCRIPTIONS) for n in range(EVENTS)]
    return Counter(log.delivery.status for log in logs if log.delivery)


def event_id(subscription: int, number: int) -> str:
    return f"evt_{subscription}_{number}"


def fill(path: Path, receiver: Receiver) -> None:
    with Database(path) as database:
        subscriptions, events = SqliteSubscriptionStore(database), SqliteEventStore(database)
        now = datetime.now(UTC)
        for s in range(SUBSCRIPTIONS):
            webhook = a_webhook(f"{receiver.url}/{s}")
            owner = f"owner{s % 3}"
            mine = subscriptions.add(a_subscription(s, owner=owner, webhook=webhook))
            for n in range(EVENTS):
                events.add([an_event(n, id=event_id(s, n), subscription_id=mine.id, owner=owner, at=now)])


@pytest.mark.slow
def test_events_survive_their_deliverer_being_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(3)
    path = tmp_path / "imagery.db"
    with ExitStack() as stack:
        receiver = stack.enter_context(receiving(in_turn(*[answering(200)] * 30, answering(500), answering(200))))
        fill(path, receiver)
        for _ in range(KILLS):
            process = start(path)
            time.sleep(chance.uniform(0.0, 0.15))
            kill(process)
        process = start(path)
        stack.callback(kill, process)
        deadline = time.monotonic() + TAIL_S
        while statuses(path)[DeliveryStatus.PENDING] and time.monotonic() < deadline:
            time.sleep(0.1)

    assert statuses(path) == {DeliveryStatus.DELIVERED: SUBSCRIPTIONS * EVENTS}
    arrived = [one.headers["webhook-id"] for one in receiver.received]
    assert set(arrived) == {event_id(s, n) for s in range(SUBSCRIPTIONS) for n in range(EVENTS)}
    # Sent again is at most what was under way when it was killed: one a subscription.
    assert len(arrived) - len(set(arrived)) <= KILLS * SUBSCRIPTIONS + 1
    for s in range(SUBSCRIPTIONS):
        firsts = list(dict.fromkeys(one for one in arrived if one.startswith(f"evt_{s}_")))
        assert firsts == [event_id(s, n) for n in range(EVENTS)]
