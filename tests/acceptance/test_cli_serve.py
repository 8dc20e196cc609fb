"""`imagery serve` and `--wait` as processes: they say where they are, do the work, and stop when told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from imagery.sandbox.earth_search import create_app
from imagery.sandbox.opening import open_sandbox
from imagery.sandbox.scenes import Scenes
from imagery.sandbox.serving import serving

IMAGERY = (sys.executable, "-m", "imagery.cli")
STOP_S = 15.0


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    return open_sandbox(None, tmp_path_factory.mktemp("scenes"), datetime(2026, 5, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def provider(scenes: Scenes) -> Iterator[str]:
    with serving(create_app(scenes)) as url:
        yield url


@pytest.fixture
def field(tmp_path: Path, scenes: Scenes) -> Path:
    file = tmp_path / "field.geojson"
    file.write_text(json.dumps(scenes.aoi))
    return file


def test_serve_says_where_it_is_and_stops_with_0_when_told(tmp_path: Path, provider: str) -> None:
    with _serve(tmp_path, provider) as (process, said):
        stranger = httpx.get(f"{said['url']}/v1/providers", trust_env=False)
        farmer = httpx.get(f"{said['url']}/v1/providers", headers=_key(tmp_path, provider), trust_env=False)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)

    assert said["data_dir"] == str(tmp_path / "data")
    assert (stranger.status_code, farmer.status_code) == (401, 200)
    assert process.returncode == 0
    assert time.monotonic() - began < STOP_S


def test_ctrl_c_stops_it_too(tmp_path: Path, provider: str) -> None:
    with _serve(tmp_path, provider) as (process, _):
        process.send_signal(signal.SIGINT)
        process.wait(STOP_S)

    assert process.returncode == 0


def test_being_told_twice_does_not_cut_the_end_short(tmp_path: Path, provider: str) -> None:
    with _serve(tmp_path, provider) as (process, _):
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.01)

    assert process.returncode == 0


def test_people_are_told_how_to_make_the_first_key(tmp_path: Path, provider: str) -> None:
    with _process(tmp_path, provider, "serve", "--port", "0") as process:
        said = [process.stdout.readline() for _ in range(7)]  # type: ignore[union-attr]

    assert "is listening" in said[0]
    assert "imagery keys create --owner NAME --data-dir" in said[-1]


def test_a_second_service_on_the_same_data_is_refused(tmp_path: Path, provider: str) -> None:
    with _serve(tmp_path, provider) as (_, said):
        port = said["url"].rpartition(":")[2]
        second = _run(tmp_path, provider, "serve", "--port", port, "--json")

    assert second.returncode == 1
    assert _error(second)["type"] == "AlreadyRunning"


def test_a_port_that_is_taken_is_named(tmp_path: Path, provider: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        result = _run(tmp_path, provider, "serve", "--port", port)

    assert result.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be listened on" in result.stderr
    assert "--port" in result.stderr
    assert "Traceback" not in result.stderr


def test_what_is_subscribed_beside_a_running_service_is_done_by_it(tmp_path: Path, provider: str, field: Path) -> None:
    wishes = ("--start", "2026-04-01", "--end", "2026-04-30", "--assets", "red", "--max-cloud-cover", "20")

    with _serve(tmp_path, provider):
        made = _run(tmp_path, provider, "subscriptions", "create", str(field), *wishes, "--wait", "--json")
        subscription = json.loads(made.stdout)
        ledger = _json(tmp_path, provider, "subscriptions", "ledger", subscription["id"])["outcomes"]
        images = _json(tmp_path, provider, "subscriptions", "show", subscription["id"])["images"]
        table = _run(tmp_path, provider, "subscriptions", "ledger", subscription["id"]).stdout
        executions = _json(tmp_path, provider, "executions", "list", "--status", "SUCCEEDED")["executions"]
        shown = _json(tmp_path, provider, "executions", "show", executions[0]["id"])

    assert made.returncode == 0
    assert "doing the work here" not in made.stderr
    assert subscription["outcomes"]["waiting"] == subscription["outcomes"]["failed"] == 0
    ended = {(row["status"], row["reason"]) for row in ledger}
    assert ended == {("delivered", None), ("skipped", "cloudy"), ("skipped", "superseded")}
    assert images == len({row["published_item_id"] for row in ledger if row["published_item_id"]})
    assert "cloud" in table.splitlines()[0].split()
    assert len(executions) == len(ledger) + 1
    assert [state["state"] for state in shown["states"]] == ["ProviderChoice", "PublicProvider", "Register", "Success"]
    assert all(state["duration_s"] >= 0 for state in shown["states"])


def test_without_a_service_the_one_who_waits_does_the_work(tmp_path: Path, provider: str, field: Path) -> None:
    wishes = ("--start", "2026-04-01", "--assets", "scl", "--wait")

    made = _run(tmp_path, provider, "subscriptions", "create", str(field), *wishes)

    listed = _json(tmp_path, provider, "subscriptions", "list")["subscriptions"]
    assert made.returncode == 0
    assert "doing the work here" in made.stderr
    # Twelve tiles of six dates.
    assert (listed[0]["outcomes"]["delivered"], listed[0]["outcomes"]["skipped"]) == (6, 6)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_service_stopped_at_work_goes_on_where_it_was(
    tmp_path: Path, provider: str, field: Path, number: signal.Signals, code: int
) -> None:
    wishes = ("--start", "2026-04-01", "--json")
    made = json.loads(_run(tmp_path, provider, "subscriptions", "create", str(field), *wishes).stdout)
    with _serve(tmp_path, provider) as (process, _):
        time.sleep(0.5)
        process.send_signal(number)
        process.wait(STOP_S)

    with _serve(tmp_path, provider):
        outcomes = _settled(tmp_path, provider, made["id"])

    assert process.returncode == code
    assert outcomes == {"waiting": 0, "delivered": 6, "skipped": 6, "failed": 0}


def test_while_the_provider_is_down_a_subscription_is_taken_and_waits(tmp_path: Path, field: Path) -> None:
    nowhere = "http://127.0.0.1:1"

    made = _run(tmp_path, nowhere, "subscriptions", "create", str(field), "--start", "2026-04-01", "--assets", "red")

    assert made.returncode == 0
    assert _json(tmp_path, nowhere, "requests")["depth"]["high"] == 1


def test_the_sandbox_serves_scenes_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with _started(_environment("http://127.0.0.1:1"), "sandbox", "earth-search", "--port", "0", "--json") as process:
        said = json.loads(process.stdout.readline())  # type: ignore[union-attr]
        landing = httpx.get(said["url"], trust_env=False).json()
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_S)

    assert said["scenes"] == 12
    assert landing["type"] == "Catalog"
    assert process.returncode == 0


@contextmanager
def _serve(tmp_path: Path, provider: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with _process(tmp_path, provider, "serve", "--port", "0", "--json") as process:
        line = process.stdout.readline()  # type: ignore[union-attr]
        assert line, "the service did not start"
        yield process, json.loads(line)


def _process(tmp_path: Path, provider: str, *arguments: str) -> Any:
    return _started(_environment(provider), *arguments, "--data-dir", str(tmp_path / "data"))


@contextmanager
def _started(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        (*IMAGERY, *arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_S)
        finally:
            process.kill()


def _run(tmp_path: Path, provider: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*IMAGERY, *arguments, "--data-dir", str(tmp_path / "data")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=_environment(provider),
    )


def _json(tmp_path: Path, provider: str, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_run(tmp_path, provider, *arguments, "--json").stdout)
    return document


def _settled(tmp_path: Path, provider: str, subscription_id: str) -> dict[str, int]:
    """Outcomes once nothing is waiting; fails the test after a while."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        outcomes: dict[str, int] = _json(tmp_path, provider, "subscriptions", "show", subscription_id)["outcomes"]
        if outcomes["delivered"] and not outcomes["waiting"]:
            return outcomes
    pytest.fail("something is still waiting")


def _key(tmp_path: Path, provider: str) -> dict[str, str]:
    text = _json(tmp_path, provider, "keys", "create", "--owner", "farm")["key"]
    return {"Authorization": f"Bearer {text}"}


def _error(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(result.stderr.splitlines()[-1])["error"]
    return error


def _environment(provider: str) -> dict[str, str]:
    return {**os.environ, "IMAGERY_STAC_PROVIDERS": json.dumps({"earth-search": provider})}
