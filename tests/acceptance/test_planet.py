"""Planet as a person meets it: the demo, `imagery orders`, settings."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagery.cli.app import app
from imagery.cli.logs import StderrHandler
from imagery.cli.redaction import redact
from imagery.errors import SettingsInvalid
from imagery.settings import Settings
from imagery.wiring import build
from tests.acceptance.api.test_planet_webhook import KEY, order

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a command on a data directory of this test, which has one order."""
    root = logging.getLogger()
    before = root.level
    with build(Settings(data_dir=tmp_path / "data")) as imagery:
        imagery.orders.save(order(order_id="fdc6a140", task_token="token-that-resumes"))
    yield lambda *arguments: CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path / "data")])
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, StderrHandler)]
    root.setLevel(before)


def test_the_demo_orders_pauses_is_called_and_delivers(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"), "--port", "0", "--no-stay")
    command = [sys.executable, "-m", "imagery.cli", "demo", "--provider", "planet", *state, "--json"]
    shown = subprocess.run(
        [*command, "--end", "2100-01-01"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)
    delivered = document["outcomes"]["delivered"]
    assert delivered >= 4
    assert document["outcomes"]["skipped"] >= 1
    assert document["orders"] == {"succeeded": delivered}, "what is skipped is not paid for"
    why = [row["explanation"] for row in document["acquisitions"] if row["status"] == "skipped"]
    assert all("wants at least 50.0%; nothing was ordered" in one for one in why)
    assert all(row["clear"] >= 0.5 for row in document["acquisitions"] if row["status"] == "delivered")
    assert "orders: " in shown.stderr
    assert "ordered" in shown.stderr


def test_orders_are_listed_without_what_opens_them(run: Run) -> None:
    shown = run("orders", "list", "--json")

    (found,) = json.loads(shown.stdout)["orders"]
    assert (found["name"], found["status"], found["wish"]["item_ids"]) == ("req_1", "orderable", ["a"])
    for secret in (KEY, "token-that-resumes"):
        assert secret not in shown.stdout
    assert "req_1" in run("orders", "list", "--status", "orderable").stdout
    assert "Nothing was ordered" in run("orders", "list", "--status", "failed").stdout


@pytest.mark.parametrize("name", ["req_1", "fdc6a140"])
def test_an_order_is_shown_by_its_name_and_by_planets_id(run: Run, name: str) -> None:
    shown = json.loads(run("orders", "show", name, "--json").stdout)

    assert (shown["name"], shown["wish"]["aoi"]) == ("req_1", {"type": "Polygon"})
    assert "ortho_udm2" in run("orders", "show", name).stdout


def test_the_key_is_in_no_repr_and_not_shown_by_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_env({"IMAGERY_PLANET_API_KEY": "PLAK0123456789abcdef"}, data_dir=tmp_path)
    assert "PLAK0123456789abcdef" not in repr(settings)
    with build(settings) as imagery:
        assert "PLAK0123456789abcdef" not in repr(imagery)
    monkeypatch.setenv("IMAGERY_PLANET_API_KEY", "PLAK0123456789abcdef")

    shown = CliRunner().invoke(app, ["config", "--json"])

    assert json.loads(shown.stdout)["planet_api_key"] == "***"


def test_keys_are_taken_out_of_what_is_logged() -> None:
    said = redact(f"POST https://x.test/webhooks/planet/{KEY} with PLAK0123456789abcdef0123456789abcdef")

    assert said == "POST https://x.test/webhooks/planet/*** with PLAK***"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"IMAGERY_PLANET_WEBHOOK_USER": "planet"}, "IMAGERY_PLANET_WEBHOOK_USER"),
        ({"IMAGERY_PLANET_WEBHOOK_USER": "a:b", "IMAGERY_PLANET_WEBHOOK_PASSWORD": "x"}, "IMAGERY_PLANET_WEBHOOK_USER"),
        ({"IMAGERY_PLANET_MAX_COST_PER_DAY": "5"}, "IMAGERY_PLANET_MAX_COST_PER_DAY"),
        ({"IMAGERY_PLANET_MAX_HECTARES_PER_DAY": "0"}, "IMAGERY_PLANET_MAX_HECTARES_PER_DAY"),
        (
            {"IMAGERY_PLANET_API_KEY": "a-secret-key", "IMAGERY_STAC_PROVIDERS": '{"planet": "https://x.test"}'},
            "IMAGERY_PLANET_API_KEY",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(changes: dict[str, str], field: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings.from_env(changes)

    assert refused.value.field == field
    assert "a-secret-key" not in str(refused.value)
