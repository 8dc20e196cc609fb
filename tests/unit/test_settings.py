"""Settings: read from a mapping, wrong ones refused by name, none left undocumented."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from imagery.errors import SettingsInvalid
from imagery.settings import PREFIX, Settings
from imagery.wiring import build


def test_the_real_earth_search_is_the_default_provider() -> None:
    assert Settings.from_env({}).stac_providers == {"earth-search": "https://earth-search.aws.element84.com/v1"}


def test_a_span_may_be_seconds_or_iso_8601() -> None:
    seconds = Settings.from_env({"IMAGERY_UPDATE_CHECK_EVERY": "90"})
    iso = Settings.from_env({"IMAGERY_UPDATE_CHECK_EVERY": "PT90S"})

    assert seconds.update_check_every == iso.update_check_every == timedelta(seconds=90)


def test_what_a_door_overrides_wins_over_the_environment() -> None:
    settings = Settings.from_env({"IMAGERY_PORT": "9000"}, port=9001, host=None)

    assert (settings.port, settings.host) == (9001, "127.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IMAGERY_PORT", "seventy"),
        ("IMAGERY_PORT", "70000"),
        ("IMAGERY_CONCURRENCY", "0"),
        ("IMAGERY_STAC_PROVIDERS", "https://example.com"),
        ("IMAGERY_RETENTION", "a while"),
        ("IMAGERY_COLOUR", "green"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=name) as refusal:
        Settings.from_env({name: value})

    assert refusal.value.field == name


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(SettingsInvalid) as refusal:
        Settings.from_env({"IMAGERY_PORT": "hunter2"})

    assert "hunter2" not in str(refusal.value)


def test_every_setting_is_in_the_readme() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()

    missing = [name for name in Settings.model_fields if PREFIX + name.upper() not in readme]
    assert missing == []


def test_a_variable_set_to_nothing_counts_as_not_set() -> None:
    assert Settings.from_env({"IMAGERY_DATA_DIR": ""}).data_dir == Path("imagery-data")


def test_a_wrong_span_is_answered_with_how_to_write_one() -> None:
    with pytest.raises(SettingsInvalid, match="PT5M"):
        Settings.from_env({"IMAGERY_UPDATE_CHECK_EVERY": "5m"})


def test_a_data_directory_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "field.geojson"
    file.write_text("{}")

    with pytest.raises(SettingsInvalid, match="choose another"):
        build(Settings(data_dir=file))
