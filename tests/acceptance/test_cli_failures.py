"""`imagery failures`, `imagery deletions` and the dry run of `imagery check deletions`, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagery.cli.app import app
from imagery.model.subscription import SubscriptionStatus
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from tests.contract.examples import a_failure, a_request, a_subscription

Run = Callable[..., Any]
NOW = datetime.now(UTC)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Two failures, a subscription that is due to go, and one that is over."""
    with build(Settings(data_dir=tmp_path / "data")) as imagery:
        _fill(imagery)
    return tmp_path / "data"


def _fill(imagery: Imagery) -> None:
    for n, error in enumerate(("RasterUnreadable", "ProviderUnavailable"), start=1):
        request = a_request(f"item_{n}")
        failure = a_failure(n, id=request.root, request=request, error=error, retryable=n == 2, cause=f"cause {n}")
        imagery.failures.store.add(failure)
    store = imagery.delete_checker.subscriptions
    ago = NOW - timedelta(days=1)
    due = {"status": SubscriptionStatus.MARKED_FOR_DELETION, "delete_at": ago, "updated_at": ago}
    store.add(a_subscription(1, **due))


@pytest.fixture
def run(data_dir: Path) -> Run:
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [*arguments, "--data-dir", str(data_dir)])


def read(run: Run, *arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_failures_are_listed_filtered_and_counted(run: Run) -> None:
    assert len(read(run, "failures", "list")["failures"]) == 2
    (passing,) = read(run, "failures", "list", "--retryable", "--provider", "earth-search")["failures"]
    assert passing["error"] == "ProviderUnavailable"
    (final,) = read(run, "failures", "list", "--final", "--text", "CAUSE 1", "--start", "2026-01-01")["failures"]
    assert final["error"] == "RasterUnreadable"
    assert read(run, "failures", "counts") == {"counts": {"ProviderUnavailable": 1, "RasterUnreadable": 1}}
    assert "ProviderUnavailable" in run("failures", "counts").stdout


def test_a_failure_is_replayed_once_by_name(run: Run) -> None:
    (failure,) = read(run, "failures", "list", "--final")["failures"]

    first = read(run, "failures", "replay", failure["id"])
    second = read(run, "failures", "replay", failure["id"])

    assert [one["replays"][0]["is_repeat"] for one in (first, second)] == [False, True]
    assert [one["id"] for one in read(run, "requests")["next"]] == [f"{failure['id']}-2"]
    assert f"{failure['id']}-2" in run("failures", "show", failure["id"]).stdout


def test_all_that_match_are_replayed_after_a_look_at_them(run: Run) -> None:
    dry = read(run, "failures", "replay", "--all", "--retryable", "--dry-run")
    done = read(run, "failures", "replay", "--all", "--rate", "60000")

    assert (len(dry["replays"]), dry["dry_run"]) == (1, True)
    assert (len(done["replays"]), done["left"]) == (2, 0)


def test_a_replay_of_nothing_named_or_of_something_unknown_is_refused(run: Run) -> None:
    assert run("failures", "replay").exit_code == 2
    assert run("failures", "replay", "req_1", "--all").exit_code == 2
    assert run("failures", "replay", "req_unknown").exit_code != 0


def test_a_deleted_failure_is_gone(run: Run) -> None:
    (failure,) = read(run, "failures", "list", "--final")["failures"]

    assert read(run, "failures", "delete", failure["id"]) == {"deleted": [failure["id"]]}

    assert run("failures", "show", failure["id"]).exit_code != 0


def test_a_dry_run_tells_what_a_check_then_does_and_the_report_is_kept(run: Run) -> None:
    dry = read(run, "check", "deletions", "--dry-run")
    before = read(run, "deletions")
    done = read(run, "check", "deletions")
    after = read(run, "deletions")

    assert [(one["would"], one["status"]) for one in dry["due"]] == [("go", "marked_for_deletion")]
    assert before == {"deletions": []}
    assert done["removed"] == 1
    assert [one["subscription_id"] for one in after["deletions"]] == [dry["due"][0]["subscription_id"]]
    assert dry["due"][0]["subscription_id"] in run("deletions").stdout
