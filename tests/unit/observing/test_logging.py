"""The log: every line of a step carries its ids, one line says how it went, and no secret is in any."""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from imagery.cli.logs import JsonFormatter, LineFormatter
from imagery.cli.redaction import redact, secrets_in
from imagery.errors import RasterUnreadable
from imagery.log_context import ContextFilter, logged_with
from imagery.metering import meter_in_use
from imagery.model.control import Usage
from imagery.stores.sqlite.control import SqliteUsageStore
from imagery.stores.sqlite.database import Database
from imagery.workflow.observed import observed

NOW = datetime(2026, 5, 1, 23, 59, tzinfo=UTC)
LIBRARY = logging.getLogger("a.library")
"""A logger that knows nothing of executions."""


@pytest.fixture
def log() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged, as the service writes it with --log-json."""
    out, root = StringIO(), logging.getLogger()
    handler, before = logging.StreamHandler(out), root.level
    handler.setFormatter(JsonFormatter())
    handler.addFilter(ContextFilter())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(before)


def a_payload(*subscriptions: str, items: tuple[str, ...] = ("item_1",)) -> dict[str, Any]:
    return {"request": {"id": "req_1", "subscription_ids": list(subscriptions), "item_ids": list(items)}}


def watched(step: Callable[[Any], Any], usage: Any = None) -> Callable[[Any], Any]:
    return observed("PublicProvider", step, usage=usage, clock=lambda: NOW)


def test_every_line_of_a_step_carries_its_ids(log: Any) -> None:
    watched(lambda _: LIBRARY.info("reading"))(a_payload("sub_1"))
    LIBRARY.info("afterwards")

    reading, finished, afterwards = log()
    for line in (reading, finished):
        assert {name: line[name] for name in ("request_id", "execution_id", "subscription_id", "item_id")} == {
            "request_id": "req_1",
            "execution_id": "req_1",
            "subscription_id": "sub_1",
            "item_id": "item_1",
        }
    assert "request_id" not in afterwards


def test_one_line_says_how_a_step_went_and_what_it_took(log: Any) -> None:
    def step(_: Any) -> None:
        meter = meter_in_use()
        assert meter is not None
        meter.has_read(1000)

    watched(step)(a_payload("sub_1"))

    (line,) = log()
    assert (line["message"], line["step"], line["bytes_read"]) == ("step finished", "PublicProvider", 1000)
    assert line["duration_ms"] >= 0


def test_a_thousand_subscriptions_are_counted_instead_of_named(log: Any) -> None:
    watched(lambda _: None)(a_payload(*(f"sub_{n}" for n in range(1000))))

    (line,) = log()
    assert line["subscription_ids"] == 1000
    assert "subscription_id" not in line


def test_the_message_to_the_failure_queue_has_its_ids_too(log: Any) -> None:
    watched(lambda _: None)({"QueueUrl": "q", "MessageBody": {"payload": a_payload("sub_1")}})

    assert log()[0]["execution_id"] == "req_1"


@pytest.mark.parametrize("payload", [None, "text", {}, {"request": None}, {"MessageBody": "text"}])
def test_a_payload_without_a_request_is_logged_without_ids(log: Any, payload: Any) -> None:
    watched(lambda _: None)(payload)

    assert "request_id" not in log()[0]


def test_a_failed_step_is_logged_with_its_ids_and_raises_what_it_raised(log: Any) -> None:
    def step(_: Any) -> None:
        raise RasterUnreadable("not a TIFF")

    with pytest.raises(RasterUnreadable):
        watched(step)(a_payload("sub_1"))

    (line,) = log()
    assert (line["level"], line["message"], line["error"]) == (
        "WARNING",
        "step failed: not a TIFF",
        "RasterUnreadable",
    )
    assert line["execution_id"] == "req_1"
    assert "traceback" not in line


def test_a_mistake_of_ours_is_logged_with_its_traceback(log: Any) -> None:
    def step(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        watched(step)(a_payload("sub_1"))

    (line,) = log()
    assert line["level"] == "ERROR"
    assert "ZeroDivisionError" in line["traceback"]
    assert line["execution_id"] == "req_1"


def test_what_a_step_moved_counts_even_if_it_failed(tmp_path: Path) -> None:
    def step(_: Any) -> None:
        meter = meter_in_use()
        assert meter is not None
        meter.has_read(700)
        meter.has_written(30)
        raise RasterUnreadable("half of it was no TIFF")

    with Database(tmp_path / "imagery.db") as database:
        usage = SqliteUsageStore(database)
        for _ in range(2):
            with pytest.raises(RasterUnreadable):
                watched(step, usage)(a_payload("sub_1"))

        assert usage.on(NOW.date()) == Usage(bytes_read=1400, bytes_written=60)


def test_steps_at_once_do_not_mix_up_their_ids(log: Any) -> None:
    both = threading.Barrier(2)

    def run(name: str) -> None:
        with logged_with(subscription_id=name):
            both.wait(5)
            LIBRARY.info("%s", name)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("sub_1", "sub_2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted((line["message"], line["subscription_id"]) for line in log()) == [
        ("sub_1", "sub_1"),
        ("sub_2", "sub_2"),
    ]


def test_a_line_that_names_an_id_itself_keeps_its_own(log: Any) -> None:
    with logged_with(subscription_id="sub_1", item_id=None):
        LIBRARY.info("other", extra={"subscription_id": "sub_2"})
        contextvars.copy_context().run(LIBRARY.info, "copied")

    assert [line["subscription_id"] for line in log()] == ["sub_2", "sub_1"]
    assert "item_id" not in log()[0]


@pytest.mark.parametrize(
    "text",
    [
        "signed with whsec_geheimnis+/geheimnis==",
        "aws_secret_access_key=geheimnis/geheimnis",
        "AWS_SECRET_ACCESS_KEY: geheimnis",
        "{'secret_access_key': 'geheimnis'}",
        '{"SessionToken": "geheimnis"}',
        '{"password": "geheimnis"}',
        "X-Amz-Security-Token=geheimnis",
    ],
)
def test_a_secret_is_known_by_its_form_or_its_name(text: str) -> None:
    assert "geheimnis" not in redact(text)


@pytest.mark.parametrize(
    "text", ["a secret key is needed", "resume the task token", "password: none was given to ana", "tokens left: 5"]
)
def test_a_sentence_about_secrets_stays_readable(text: str) -> None:
    assert len(redact(text)) >= len(text) - 4


def test_what_the_environment_calls_secret_is_taken_out_wherever_it_stands() -> None:
    env = {
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG",
        "IMAGERY_STAC_PROVIDERS": '{"p": "https://me:pass%40w/ord@host/v1"}',
        "DB": "postgres://me:pa@ss@word1@host",
        "PIN_TOKEN": "1234",
        "HOME": "/home/ana",
    }
    known = secrets_in(env)
    try:
        raise ValueError("the server said wJalrXUtnFEMI/K7MDENG pa@ss@word1")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.makeLogRecord({"msg": "met %s", "args": ("wJalrXUtnFEMI/K7MDENG",), "exc_info": info})

    for formatter in (LineFormatter(known), JsonFormatter(known)):
        assert "wJalrXUtnFEMI" not in formatter.format(record)
        assert "word1" not in formatter.format(record)
    assert "1234" not in known
    assert "/home/ana" not in known
