"""Back ends under contract: one entry in a list of params puts an adapter under the whole suite of its port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from imagery.objects import open_objects
from imagery.ports import (
    VISIBILITY_TIMEOUT,
    Clock,
    ControlStore,
    DeletionStore,
    EventStore,
    FailureStore,
    FeedStore,
    KeyStore,
    Ledger,
    LookStore,
    ObjectStore,
    Outbox,
    ProcessingQueue,
    ProductStore,
    SubscriptionStore,
    Together,
    UsageStore,
)
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.stores.sqlite.control import SqliteControlStore, SqliteUsageStore
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.deletions import SqliteDeletionStore
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.failures import SqliteFailureStore
from imagery.stores.sqlite.feeds import SqliteFeedStore
from imagery.stores.sqlite.keys import SqliteKeyStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.looks import SqliteLookStore
from imagery.stores.sqlite.outbox import SqliteOutbox
from imagery.stores.sqlite.products import SqliteProductStore
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Every port of one back end."""

    subscriptions: SubscriptionStore
    ledger: Ledger
    failures: FailureStore
    deletions: DeletionStore
    events: EventStore
    outbox: Outbox
    keys: KeyStore
    queue: ProcessingQueue
    controls: ControlStore
    usage: UsageStore
    feeds: FeedStore
    looks: LookStore
    products: ProductStore
    together: Together


class BackEnd(Protocol):
    """Durable state that can be opened again and again, here and in other processes."""

    def open(self, clock: Clock, visibility: timedelta = VISIBILITY_TIMEOUT) -> Opened:
        """As a process that has just started would."""

    def close_all(self) -> None:
        """As a process that ends would."""

    def start(self, script: str) -> subprocess.Popen[str]:
        """Run Python in another process, with `opened` (real clock) and `examples` at hand."""


class SqliteBackEnd:
    """One file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.sqlite"
        self._databases: list[Database] = []

    def open(self, clock: Clock, visibility: timedelta = VISIBILITY_TIMEOUT) -> Opened:
        database = Database(self.path)
        self._databases.append(database)
        return Opened(
            subscriptions=SqliteSubscriptionStore(database),
            ledger=SqliteLedger(database),
            failures=SqliteFailureStore(database),
            deletions=SqliteDeletionStore(database),
            events=SqliteEventStore(database),
            outbox=SqliteOutbox(database),
            keys=SqliteKeyStore(database),
            queue=SqliteProcessingQueue(database, clock=clock, visibility=visibility),
            controls=SqliteControlStore(database),
            usage=SqliteUsageStore(database),
            feeds=SqliteFeedStore(database),
            looks=SqliteLookStore(database),
            products=SqliteProductStore(database),
            together=database.write,
        )

    def close_all(self) -> None:
        while self._databases:
            self._databases.pop().close()

    def start(self, script: str) -> subprocess.Popen[str]:
        prelude = (
            "import sys; from datetime import UTC, datetime; from pathlib import Path; "
            "from tests.contract import examples; from tests.contract.conftest import SqliteBackEnd; "
            f"opened = SqliteBackEnd(Path({str(self.path.parent)!r})).open(lambda: datetime.now(UTC))\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", prelude + script],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(params=[SqliteBackEnd], ids=["sqlite"])
def back_end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackEnd]:
    opening: BackEnd = request.param(tmp_path)
    yield opening
    opening.close_all()


@pytest.fixture
def opened(back_end: BackEnd, clock: Clock) -> Opened:
    return back_end.open(clock)


@pytest.fixture
def subscriptions(opened: Opened) -> SubscriptionStore:
    return opened.subscriptions


@pytest.fixture
def ledger(opened: Opened) -> Ledger:
    return opened.ledger


@pytest.fixture
def failures(opened: Opened) -> FailureStore:
    return opened.failures


@pytest.fixture
def events(opened: Opened) -> EventStore:
    return opened.events


@pytest.fixture
def outbox(opened: Opened) -> Outbox:
    return opened.outbox


@pytest.fixture
def deletions(opened: Opened) -> DeletionStore:
    return opened.deletions


@pytest.fixture
def feeds(opened: Opened) -> FeedStore:
    return opened.feeds


@pytest.fixture
def keys(opened: Opened) -> KeyStore:
    return opened.keys


@pytest.fixture
def queue(opened: Opened) -> ProcessingQueue:
    return opened.queue


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local S3 on loopback, with a bucket `clips`."""
    command = shutil.which("ministack")
    if command is None:
        pytest.skip("S3 is tested only where ministack is installed (pip install ministack==1.5.33)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("s3")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    with (folder / "log").open("w") as log, subprocess.Popen([command], env=env, stdout=log, stderr=log) as server:
        try:
            endpoint = f"http://127.0.0.1:{port}"
            _wait_for(f"{endpoint}/_ministack/health")
            urllib.request.urlopen(urllib.request.Request(f"{endpoint}/clips", method="PUT"), timeout=5).close()
            yield endpoint
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(url)


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "file":
        return open_objects((tmp_path / "a folder ☂").as_uri())
    options = {
        "endpoint": request.getfixturevalue("s3_endpoint"),
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "test",
    }
    return open_objects(f"s3://clips/{tmp_path.name}", options)
