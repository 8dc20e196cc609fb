"""`imagery pause`, `resume` and `limits`, command by command, in this process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagery.cli.app import app
from imagery.cli.logs import StderrHandler
from imagery.settings import Settings
from imagery.wiring import build

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a command on a data directory of this test."""
    root = logging.getLogger()
    before = root.level
    (tmp_path / "data").mkdir()
    yield lambda *arguments: CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path / "data")])
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, StderrHandler)]
    root.setLevel(before)


def test_a_pause_is_kept_with_who_when_and_why_until_it_is_ended(run: Run, tmp_path: Path) -> None:
    paused = json.loads(run("pause", "--reason", "disk full", "--json").stdout)["paused"]

    assert paused["reason"] == "disk full"
    assert paused["by"]
    with build(Settings(data_dir=tmp_path / "data")) as service:
        assert service.dispatcher.run_once() == 0
        assert service.admission.paused() is not None
    assert "resumed" in run("resume").stdout
    assert "not paused" in run("limits").stdout


def test_pausing_again_leaves_the_first_pause_in_force(run: Run) -> None:
    run("pause", "--reason", "disk full")

    assert "disk full" in run("pause", "--reason", "another").stdout


def test_resuming_what_is_not_paused_says_so(run: Run) -> None:
    result = run("resume")

    assert (result.exit_code, result.stdout) == (0, "it was not paused\n")


def test_all_limits_are_shown(run: Run) -> None:
    shown = json.loads(run("limits", "--json").stdout)

    assert shown["paused"] is None
    assert [limit["name"] for limit in shown["limits"]] == [
        "concurrency",
        "max_executions_per_minute",
        "max_bytes_per_day",
    ]
    assert shown["max_subscriptions_per_owner"] == 100_000
