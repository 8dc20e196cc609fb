"""From a subscription to a receiver: what `imagery listen` prints while a service works, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagery.cli.app import app
from imagery.cli.listen import Receiver, follow_events
from imagery.cli.printing import Printer
from imagery.demo.wishes import Wishes, subscription_body
from imagery.model.access import Caller
from imagery.model.outcome import OutcomeStatus
from imagery.notifiers.signing import sign
from imagery.sandbox.earth_search import create_app
from imagery.sandbox.opening import open_sandbox
from imagery.sandbox.serving import serving
from imagery.service.subscriptions import NewSubscription
from imagery.serving.following import follow
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from imagery.worker import Worker
from tests.contract.examples import a_subscription, an_event

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@contextmanager
def listening(*options: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """`imagery listen` in a process of its own: its URL, and what it prints from then on."""
    command = [sys.executable, "-m", "imagery.cli", "listen", "--port", "0", "--json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        lines = (json.loads(line) for line in process.stdout)
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            yield next(lines)["url"], lines
        finally:
            watchdog.cancel()
            process.terminate()
            process.wait(10)


@contextmanager
def working(settings: Settings) -> Iterator[Imagery]:
    with build(settings) as imagery:
        worker = Worker(imagery=imagery)
        worker.start()
        try:
            yield imagery
        finally:
            worker.stop(drain=timedelta(seconds=10))


def test_a_listener_prints_a_subscription_s_life_and_each_item_once(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    scenes = open_sandbox(None, tmp_path / "sandbox", datetime.now(UTC))
    wanted = subscription_body(Wishes(state_dir=tmp_path), scenes)
    with serving(create_app(scenes)) as sandbox, listening() as (url, lines):
        settings = Settings(
            data_dir=tmp_path / "data",
            stac_providers={"sandbox": sandbox},
            webhook_allow_http=True,
            webhook_allow_private=True,
            public_url="https://imagery.example.com",
        )
        with working(settings) as imagery:
            new = NewSubscription(
                aoi=wanted["aoi"],
                provider="sandbox",
                collection=wanted["collection"],
                assets=tuple(wanted["assets"])[:1],
                start_at=datetime.fromisoformat(wanted["start_at"]),
                webhook_url=url,
            )
            subscription = imagery.subscriptions.create(Caller(owner="ana"), new).subscription
            *_, progress = follow(imagery, subscription)
            delivered = progress.counts[OutcomeStatus.DELIVERED]
            printed = [next(lines) for _ in range(delivered + 1)]

    assert delivered > 1
    assert printed[0]["event"]["type"] == "imagery.subscription.created"
    items = [one["event"] for one in printed[1:]]
    assert {one["type"] for one in items} == {"imagery.item.published"}
    assert len({one["subject"] for one in items}) == delivered
    assert items[0]["data"]["item_url"].startswith("https://imagery.example.com/stac/collections/")
    assert not any(one["repeat"] or one["verified"] for one in printed)


def test_a_listener_with_a_secret_refuses_what_is_not_signed_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    receiver = Receiver(printer=Printer(as_json=True), secret=SECRET)
    body = b'{"type": "imagery.item.published", "subject": "item_1"}'
    headers = sign(body, message_id="evt_1", at=NOW, secrets=[SECRET])

    answers = [
        receiver.receive(body, headers, now=NOW),
        receiver.receive(body, headers, now=NOW),
        receiver.receive(body + b" ", headers, now=NOW),
        receiver.receive(body, headers, now=NOW + timedelta(hours=1)),
        receiver.receive(body, {}, now=NOW),
    ]

    said = capsys.readouterr()
    assert answers == [204, 204, 401, 401, 401]
    assert [(one["verified"], one["repeat"]) for one in map(json.loads, said.out.splitlines())] == [
        (True, False),
        (True, True),
    ]
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize("body", [b"", b"not json", b"[1", b"\xff"])
def test_a_listener_answers_400_to_what_is_no_json(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    receiver = Receiver(printer=Printer(as_json=False), secret=None)

    assert receiver.receive(body, {}, now=NOW) == 400
    assert capsys.readouterr().out == ""


def test_what_a_stranger_sends_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    receiver = Receiver(printer=Printer(as_json=False), secret=None)

    for body in (b'{"type": "\\u001b[31mred", "data": 5}', b'["\\u001b[31m"]', b"5"):
        assert receiver.receive(body, {}, now=NOW) == 204

    assert "\x1b" not in capsys.readouterr().out


def test_following_gives_what_happens_from_then_on_in_order(tmp_path: Path) -> None:
    with build(Settings(data_dir=tmp_path / "data")) as imagery:
        events = imagery.notifications.events
        events.add([an_event(1)])
        until, steps = threading.Event(), iter(([an_event(2), an_event(3)], [], [an_event(4)], None))

        def wait() -> None:
            happened = next(steps)
            until.set() if happened is None else events.add(happened)

        followed = [event.id for event in follow_events(imagery, wait=wait, until=until)]

    assert followed == ["evt_2", "evt_3", "evt_4"]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """A command on a data directory of this test, in which ana has a subscription and eva is told of another."""
    runner = CliRunner()
    env = {"IMAGERY_WEBHOOK_ALLOW_PRIVATE": "true", "IMAGERY_WEBHOOK_ALLOW_HTTP": "true"}
    with build(Settings(data_dir=tmp_path / "data")) as imagery:
        imagery.subscriptions.store.add(a_subscription())
        imagery.notifications.events.add([an_event(1), an_event(2, owner="eva", subscription_id="sub_2")])
    return lambda *arguments: runner.invoke(app, [*arguments, "--data-dir", str(tmp_path / "data")], env=env)


def test_events_are_listed_and_shown_as_they_would_be_sent(run: Callable[..., Any]) -> None:
    listed = json.loads(run("events", "list", "--json").stdout)["events"]
    shown = json.loads(run("events", "show", "evt_1", "--json").stdout)

    assert [one["id"] for one in listed] == ["evt_2", "evt_1"]
    assert shown == {"event": listed[1], "delivery": None, "attempts": []}
    assert "no webhook" in run("events", "show", "evt_1").stdout
    assert "evt_1" not in run("events", "list", "--subscription", "sub_2").stdout


def test_a_webhook_is_set_rotated_and_removed_and_its_secret_shown_when_it_is_made(run: Callable[..., Any]) -> None:
    mine = a_subscription().id
    made = json.loads(run("subscriptions", "webhook", mine, "--url", "http://127.0.0.1:8090/", "--json").stdout)
    again = json.loads(run("subscriptions", "webhook", mine, "--url", "http://127.0.0.1:8090/", "--json").stdout)
    rotated = json.loads(run("subscriptions", "webhook", mine, "--rotate", "--json").stdout)
    redelivered = json.loads(run("events", "redeliver", "evt_1", "--json").stdout)
    shown = [
        run(*words).stdout for words in (("subscriptions", "show", mine, "--json"), ("subscriptions", "list", "--json"))
    ]
    removed = json.loads(run("subscriptions", "webhook", mine, "--remove", "--json").stdout)

    assert made["webhook"]["secret"] != rotated["webhook"]["secret"]
    assert "secret" not in again["webhook"]
    assert redelivered["delivery"]["status"] == "pending"
    assert all('"url": "http://127.0.0.1:8090/"' in text and "whsec_" not in text for text in shown)
    assert removed["webhook"] is None
    assert run("events", "redeliver", "evt_1").exit_code == 1
    assert run("subscriptions", "webhook", mine).exit_code == 2
