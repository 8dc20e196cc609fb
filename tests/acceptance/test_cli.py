"""The command line, command by command, in this process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from imagery.cli.app import app
from imagery.cli.logs import StderrHandler
from imagery.sandbox.earth_search import create_app
from imagery.sandbox.scenes import Scene, Scenes
from imagery.sandbox.serving import serving

Run = Callable[..., Any]

PARCEL = [[[15.60, 46.00], [15.61, 46.00], [15.61, 46.01], [15.60, 46.01], [15.60, 46.00]]]
POLYGON = {"type": "Polygon", "coordinates": PARCEL}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs a command on a data directory of this test; `--json` is read already."""
    runner = CliRunner()
    root = logging.getLogger()
    before = root.level

    def run(*arguments: str, on_data: bool = True, env: dict[str, str] | None = None) -> Any:
        place = ("--data-dir", str(tmp_path / "data")) if on_data else ()
        return runner.invoke(app, [*arguments, *place], env=env)

    yield run
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, StderrHandler)]
    root.setLevel(before)


@pytest.fixture
def field(tmp_path: Path) -> Path:
    return _written(tmp_path / "field.geojson", POLYGON)


@pytest.fixture(scope="module")
def provider() -> Iterator[dict[str, str]]:
    """The environment that leads to a provider of one item, whose file nobody reads here."""
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_33TWM_20260501_0_L2A",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [[[15, 45], [16, 45], [16, 47], [15, 47], [15, 45]]]},
        "bbox": [15, 45, 16, 47],
        "properties": dict.fromkeys(("datetime", "created", "updated"), "2026-05-01T10:00:00Z"),
        "links": [],
        "assets": {"red": {"href": "B04.tif"}},
    }
    scenes = Scenes(scenes=(Scene(item=item, files={"red": Path("B04.tif")}),))
    with serving(create_app(scenes)) as url:
        yield {"IMAGERY_STAC_PROVIDERS": json.dumps({"earth-search": url})}


def test_every_command_takes_json_and_explains_itself() -> None:
    leaves = dict(_leaves(typer.main.get_command(app), ()))

    assert len(leaves) > 20
    for name, command in leaves.items():
        assert any("--json" in option.opts for option in command.params), name
        assert command.help, name


def test_the_version_is_said(run: Run) -> None:
    result = run("--version", on_data=False)

    assert result.exit_code == 0
    assert result.stdout.startswith("imagery ")


def test_a_key_is_shown_once_and_listed_without_its_secret(run: Run) -> None:
    made = json.loads(run("keys", "create", "--owner", "farm", "--json").stdout)
    listed = run("keys", "list", "--json").stdout

    assert made["key"].startswith(f"imk_{made['id']}_")
    assert json.loads(listed)["keys"][0]["owner"] == "farm"
    assert made["key"].rpartition("_")[2] not in listed
    assert "sha256" not in listed


def test_a_revoked_key_is_shown_as_revoked(run: Run) -> None:
    made = json.loads(run("keys", "create", "--owner", "farm", "--operator", "--json").stdout)

    result = run("keys", "revoke", made["id"])

    (key,) = json.loads(run("keys", "list", "--json").stdout)["keys"]
    assert result.exit_code == 0
    assert key["operator"]
    assert key["revoked_at"] is not None


def test_a_mistyped_data_directory_is_refused_and_not_made(run: Run, tmp_path: Path) -> None:
    result = run("subscriptions", "list")

    assert result.exit_code == 1
    assert "there is no data directory" in result.stderr
    assert "imagery serve" in result.stderr
    assert not (tmp_path / "data").exists()


def test_errors_are_one_json_document_on_stderr_when_json_is_asked_for(run: Run) -> None:
    run("keys", "create", "--owner", "farm")

    result = run("subscriptions", "show", "sub_none", "--json")

    error = json.loads(result.stderr)["error"]
    assert result.exit_code == 1
    assert result.stdout == ""
    assert error["type"] == "SubscriptionUnknown"
    assert set(error) == {"type", "detail", "field"}


def test_wrong_usage_ends_with_2(run: Run) -> None:
    plain, as_json = run("keys", "create"), run("keys", "create", "--json")

    assert plain.exit_code == as_json.exit_code == 2
    assert "--owner" in plain.stderr
    assert json.loads(as_json.stderr)["error"]["type"] == "Usage"


def test_a_subscription_is_made_from_a_file_and_lives_its_life(run: Run, field: Path, provider: dict[str, str]) -> None:
    wishes = ("--start", "2026-05-01", "--end", "2026-05-31", "--assets", "red", "--label", "crop=maize")
    made = run("subscriptions", "create", str(field), *wishes, "--max-cloud-cover", "40", "--json", env=provider)
    subscription = json.loads(made.stdout)
    identifier = subscription["id"]

    listed = json.loads(run("subscriptions", "list", "--json").stdout)["subscriptions"]
    statuses = [
        json.loads(run("subscriptions", verb, identifier, "--json", env=provider).stdout)["status"]
        for verb in ("pause", "resume", "delete", "restore")
    ]

    assert subscription["owner"] == "local"
    assert subscription["end_at"] == "2026-05-31T23:59:59.999999Z"
    assert subscription["filters"]["max_cloud_cover"] == 40
    assert subscription["labels"] == {"crop": "maize"}
    assert [each["id"] for each in listed] == [identifier]
    assert statuses == ["paused", "active", "marked_for_deletion", "active"]


def test_what_is_done_to_the_pixels_is_asked_for_and_shown(run: Run, field: Path, provider: dict[str, str]) -> None:
    wishes = ("--min-clear", "0.7", "--mask", "--harmonise", "--all-touched", "--single-file")
    grid = ("--buffer", "-10", "--resolution", "10", "--resampling", "bilinear")
    indices = ("--index", "ndvi", "--index", "my = (nir - red) / (nir + red)")
    made = run("subscriptions", "create", str(field), *wishes, *grid, *indices, "--json", env=provider)

    identifier = json.loads(made.stdout)["id"]
    shown = json.loads(run("subscriptions", "show", identifier, "--json").stdout)
    table = run("subscriptions", "show", identifier).stdout

    assert shown["filters"]["min_clear_fraction"] == 0.7
    own = {"name": "my", "formula": "(nir - red) / (nir + red)"}
    assert shown["processing"] == {
        "mask": True,
        "harmonise": True,
        "all_touched": True,
        "buffer_m": -10,
        "indices": [{"name": "ndvi", "formula": own["formula"]}, own],
        "resolution_m": 10,
        "resampling": "bilinear",
        "single_file": True,
    }
    for said in ("min clear", "70.0 %", "10 m, bilinear", "ndvi = (nir - red)", "-10 m", "one file"):
        assert said in table


def test_nothing_is_said_of_options_that_were_not_asked_for(run: Run, field: Path, provider: dict[str, str]) -> None:
    made = run("subscriptions", "create", str(field), "--assets", "red", env=provider)

    assert made.exit_code == 0
    for word in ("mask", "buffer", "indices", "min clear", "grid"):
        assert word not in made.stdout


@pytest.mark.parametrize(
    ("index", "field_named"),
    [("dnvi", "/processing/indices/0"), ("my=nir/", "/processing/indices/0"), ("nir<=red", "/processing/indices/0")],
)
def test_an_index_that_cannot_be_computed_is_refused(
    run: Run, field: Path, provider: dict[str, str], index: str, field_named: str
) -> None:
    result = run("subscriptions", "create", str(field), "--index", index, "--json", env=provider)

    error = json.loads(result.stderr)["error"]
    assert result.exit_code == 1
    assert error["field"] == field_named


def test_a_subscription_is_changed_on_the_command_line(run: Run, field: Path, provider: dict[str, str]) -> None:
    made = run(
        "subscriptions", "create", str(field), "--label", "crop=maize", "--index", "ndvi", "--json", env=provider
    )
    identifier = json.loads(made.stdout)["id"]

    def update(*arguments: str) -> Any:
        result = run("subscriptions", "update", identifier, *arguments, "--json", env=provider)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    filtered = update("--max-cloud-cover", "40", "--min-clear", "0.7", "--end", "2099-05-31", "--priority", "high")
    again = update("--min-clear", "0.5", "--mask", "--resolution", "10", "--resampling", "bilinear", "--label", "a=1")
    back = update("--reset", "filters", "--min-coverage", "0.9", "--no-mask", "--reset", "end_at", "--reset", "indices")
    plain = update("--reset", "processing", "--reset", "labels", "--assets", "red,nir")

    assert (filtered["end_at"], filtered["priority"]) == ("2099-05-31T23:59:59.999999Z", "high")
    assert again["filters"] == {"max_cloud_cover": 40, "min_clear_fraction": 0.5, "min_coverage": None}
    assert (again["processing"]["mask"], again["processing"]["resampling"]) == (True, "bilinear")
    assert again["labels"] == {"crop": "maize", "a": "1"}
    assert back["filters"] == {"max_cloud_cover": None, "min_clear_fraction": None, "min_coverage": 0.9}
    assert (back["processing"]["mask"], back["processing"]["indices"], back["end_at"]) == (False, [], None)
    assert (plain["processing"]["resolution_m"], plain["labels"], plain["assets"]) == (None, {}, ["red", "nir"])
    assert plain["version"] == 5


def test_a_webhook_set_by_an_update_shows_its_secret_once(run: Run, field: Path, provider: dict[str, str]) -> None:
    identifier = json.loads(run("subscriptions", "create", str(field), "--json", env=provider).stdout)["id"]
    url = ("--webhook", "https://93.184.215.14/hook")

    told = json.loads(run("subscriptions", "update", identifier, *url, "--json", env=provider).stdout)
    again = json.loads(run("subscriptions", "update", identifier, *url, "--json", env=provider).stdout)
    silent = json.loads(run("subscriptions", "update", identifier, "--reset", "webhook", "--json", env=provider).stdout)

    assert told["webhook"]["secret"].startswith("whsec_")
    assert "secret" not in again["webhook"]
    assert silent["webhook"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name something to change"),
        (("--end", "2099-01-01", "--reset", "end_at"), "end_at is given, and reset"),
        (("--reset", "aoi"), "aoi"),
    ],
)
def test_an_update_that_says_nothing_clear_is_wrong_usage(
    run: Run, field: Path, provider: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    identifier = json.loads(run("subscriptions", "create", str(field), "--json", env=provider).stdout)["id"]

    result = run("subscriptions", "update", identifier, *arguments, env=provider)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("verb", ["create", "update"])
def test_a_fraction_that_is_a_percentage_is_refused_with_an_example(
    run: Run, field: Path, provider: dict[str, str], verb: str
) -> None:
    made = json.loads(run("subscriptions", "create", str(field), "--json", env=provider).stdout)
    target = {"create": str(field), "update": made["id"]}[verb]

    result = run("subscriptions", verb, target, "--min-clear", "70", "--json", env=provider)

    error = json.loads(result.stderr)["error"]
    assert (result.exit_code, error["field"]) == (1, "/filters/min_clear_fraction")
    assert "a fraction from 0 to 1, such as 0.7" in error["detail"]


def test_an_area_is_shown_as_over_http(run: Run, field: Path, provider: dict[str, str]) -> None:
    made = json.loads(run("subscriptions", "create", str(field), "--json", env=provider).stdout)

    shown = json.loads(run("subscriptions", "show", made["id"], "--json").stdout)

    assert shown["aoi"] == made["aoi"]
    assert shown["aoi"]["type"] == "Polygon"
    assert shown["bbox"] == pytest.approx([15.6, 46.0, 15.61, 46.01])
    assert 0.8 < shown["area_km2"] < 0.9
    assert shown["images"] == 0


def test_a_new_subscription_waits_in_the_queue(run: Run, field: Path, provider: dict[str, str]) -> None:
    start = ("--start", "2026-05-01", "--assets", "red")
    made = json.loads(run("subscriptions", "create", str(field), *start, "--json", env=provider).stdout)

    queue = json.loads(run("requests", "--json").stdout)
    table = run("requests").stdout

    assert (queue["depth"]["high"], queue["depth"]["normal"]) == (1, 0)  # older windows wait at low
    assert queue["next"][0]["subscription_ids"] == [made["id"]]
    assert "initial" in table


def test_every_day_is_explained_and_the_look_back_is_shown(run: Run, field: Path, provider: dict[str, str]) -> None:
    start = ("--start", "2026-05-01", "--end", "2026-05-31", "--assets", "red")
    identifier = json.loads(run("subscriptions", "create", str(field), *start, "--json", env=provider).stdout)["id"]

    shown = json.loads(run("subscriptions", "show", identifier, "--json").stdout)
    span = ("--days", "--from", "2026-04-30", "--to", "2026-05-03")
    days = json.loads(run("subscriptions", "ledger", identifier, *span, "--json").stdout)["days"]
    table = run("subscriptions", "ledger", identifier, *span).stdout

    assert shown["backfill"] == {"windows": 1, "done": 0}
    assert [day["status"] for day in days] == [*["not_looked_yet"] * 3, "outside"]
    assert [(day["images"], sum(day["counts"].values())) for day in days] == [(0, 0)] * 4
    assert "3 May 2026: the provider has not been asked" in table


def test_checks_can_be_run_by_hand(run: Run, field: Path, provider: dict[str, str]) -> None:
    start = ("--start", "2099-01-01", "--assets", "red")
    run("subscriptions", "create", str(field), *start, "--json", env=provider)

    updates = json.loads(run("check", "updates", "--json", env=provider).stdout)
    ledger = json.loads(run("check", "ledger", "--json", env=provider).stdout)
    deletions = json.loads(run("check", "deletions", "--json", env=provider).stdout)

    assert updates["failed"] == 0
    assert (ledger["requested"], ledger["failed"]) == (0, 0)
    assert deletions == {"ended": 0, "removed": 0, "begun": 0, "items": 0, "objects": 0, "expired": 0, "failed": 0}


def test_a_subscription_the_provider_cannot_serve_is_refused_with_the_field(
    run: Run, field: Path, provider: dict[str, str]
) -> None:
    result = run("subscriptions", "create", str(field), "--provider", "nobody", "--json", env=provider)

    error = json.loads(result.stderr)["error"]
    assert result.exit_code == 1
    assert error["type"] == "SubscriptionInvalid"
    assert error["field"] == "/provider"


@pytest.mark.parametrize("start", ["yesterday", "2026-13-01", "2026-05-01T10:00:00"])
def test_a_date_that_is_none_is_wrong_usage(run: Run, field: Path, start: str) -> None:
    result = run("subscriptions", "create", str(field), "--start", start)

    assert result.exit_code == 2
    assert "--start" in result.stderr


@pytest.mark.parametrize(
    ("feature", "expected"),
    [("parcel-7", 0), ("17", 1), ("north", 1), ("2", 2)],
    ids=["its id", "an id of its properties", "a name of its properties", "its place"],
)
def test_one_feature_of_many_is_chosen(
    run: Run, tmp_path: Path, provider: dict[str, str], feature: str, expected: int
) -> None:
    file = _written(tmp_path / "fields.geojson", _three_features())

    result = run("subscriptions", "create", str(file), "--feature", feature, "--assets", "red", "--json", env=provider)

    west = json.loads(result.stdout)["bbox"][0]
    assert west == pytest.approx(15.6 + expected)


def test_two_features_are_not_one_area(run: Run, tmp_path: Path) -> None:
    file = _written(tmp_path / "fields.geojson", _three_features())

    result = run("subscriptions", "create", str(file), "--feature", "17", "--feature", "north")

    assert result.exit_code == 2
    assert "name one feature" in result.stderr


@pytest.mark.parametrize("feature", [(), ("--feature", "elsewhere"), ("--feature", "3")])
def test_a_file_of_many_features_wants_one_chosen(run: Run, tmp_path: Path, feature: tuple[str, ...]) -> None:
    file = _written(tmp_path / "fields.geojson", _three_features())

    result = run("subscriptions", "create", str(file), *feature, "--json")

    error = json.loads(result.stderr)["error"]
    assert result.exit_code == 1
    assert error["type"] == "AoiInvalid"
    assert "parcel-7" in error["detail"]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"type": "Feature", "geometry": null}', '{"type": "FeatureCollection"}', "[" * 100_000]
)
def test_a_file_that_holds_no_area_is_refused(run: Run, tmp_path: Path, content: str) -> None:
    file = tmp_path / "field.geojson"
    file.write_text(content)

    result = run("subscriptions", "create", str(file))

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_an_area_in_another_coordinate_system_is_not_taken_for_degrees(
    run: Run, tmp_path: Path, provider: dict[str, str]
) -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}
    file = _written(
        tmp_path / "mercator.geojson",
        {"type": "FeatureCollection", "crs": crs, "features": [{"type": "Feature", "geometry": POLYGON}]},
    )

    result = run("subscriptions", "create", str(file), "--assets", "red", env=provider)

    assert result.exit_code == 1
    assert "3857" in result.stderr


def test_our_own_workflow_is_valid(run: Run) -> None:
    file = Path(__file__).parents[2] / "imagery" / "workflow" / "imagery.asl.json"

    result = run("workflow", "validate", str(file), "--json", on_data=False)

    assert json.loads(result.stdout)["valid"] is True


def test_an_invalid_state_machine_is_refused_with_the_place(run: Run, tmp_path: Path) -> None:
    file = _written(tmp_path / "m.json", {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}})

    result = run("workflow", "validate", str(file), "--json", on_data=False)

    error = json.loads(result.stderr)["error"]
    assert result.exit_code == 1
    assert error["type"] == "DefinitionInvalid"
    assert error["field"] == "/States/A/Next"


def test_a_state_machine_is_simulated_with_given_answers_and_without_waiting(run: Run, tmp_path: Path) -> None:
    file = _written(tmp_path / "m.json", _machine())
    tasks = ("--task", 'Fetch={"Error": "Busy.Now", "Cause": "try later"}', "--task", 'Fetch={"n": 5}')

    result = run("workflow", "run", str(file), "--input", '{"x": 1}', *tasks, "--json", on_data=False)

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["status"] == "SUCCEEDED"
    assert document["output"] == {"n": 5}
    assert [(s["state"], s["duration_s"], s["failures"]) for s in document["states"]] == [
        ("Fetch", 30.0, ["Busy.Now"]),
        ("Wait", 3600.0, []),
    ]


def test_a_simulation_that_fails_ends_with_1_and_says_why(run: Run, tmp_path: Path) -> None:
    file = _written(tmp_path / "m.json", _machine())
    task = ("--task", 'Fetch={"Error": "Gone", "Cause": "it left"}')

    result = run("workflow", "run", str(file), *task, on_data=False)

    assert result.exit_code == 1
    assert "Gone" in result.stdout
    assert "it left" in result.stdout


def test_the_input_of_a_simulation_may_be_a_file(run: Run, tmp_path: Path) -> None:
    file = _written(tmp_path / "m.json", {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    payload = _written(tmp_path / "in.json", {"from": "a file"})

    result = run("workflow", "run", str(file), "--input", f"@{payload}", "--json", on_data=False)

    assert json.loads(result.stdout)["output"] == {"from": "a file"}


def test_settings_are_shown_without_their_secrets(run: Run) -> None:
    env = {"IMAGERY_STAC_PROVIDERS": '{"p": "https://user:pass%40sesame@example.com/v1?token=geheim"}'}

    table, document = run("config", env=env).stdout, run("config", "--json", env=env).stdout

    assert json.loads(document)["stac_providers"] == {"p": "https://***@example.com/v1?token=***"}
    for secret in ("sesame", "geheim"):
        assert secret not in table + document


def test_an_unknown_setting_is_refused_by_its_name(run: Run) -> None:
    result = run("config", "--json", env={"IMAGERY_TYPO": "1"})

    assert json.loads(result.stderr)["error"]["field"] == "IMAGERY_TYPO"


def _leaves(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield " ".join(path), command
        return
    for name, inner in command.commands.items():
        yield from _leaves(inner, (*path, name))


def _written(path: Path, document: object) -> Path:
    path.write_text(json.dumps(document))
    return path


def _three_features() -> dict[str, Any]:
    def feature(shift: int, **members: Any) -> dict[str, Any]:
        moved = [[[x + shift, y] for x, y in PARCEL[0]]]
        return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": moved}, "properties": {}, **members}

    features = [feature(0, id="parcel-7"), feature(1, properties={"id": 17, "name": "north"}), feature(2)]
    return {"type": "FeatureCollection", "features": features}


def _machine() -> dict[str, Any]:
    fetch = {
        "Type": "Task",
        "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:Fetch",
        "Retry": [{"ErrorEquals": ["Busy.Now"], "IntervalSeconds": 30}],
        "Next": "Wait",
    }
    return {"StartAt": "Fetch", "States": {"Fetch": fetch, "Wait": {"Type": "Wait", "Seconds": 3600, "End": True}}}
