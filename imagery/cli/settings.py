"""`imagery config`: the settings in force."""

from __future__ import annotations

import json

from imagery.cli.house import read_settings
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.cli.redaction import is_secret_name, redact
from imagery.settings import PREFIX, Settings


def config(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """What is set, by the environment or by default; secrets are hidden."""
    settings = read_settings(data_dir=data_dir)
    defaults = Settings()
    values = {name: _shown(name, value) for name, value in settings.model_dump(mode="json").items()}
    printer = Printer(as_json=as_json)
    printer.document(values)
    printer.table(
        ("variable", "value", "set"),
        [
            (PREFIX + name.upper(), _text(value), "yes" if getattr(settings, name) != getattr(defaults, name) else "")
            for name, value in values.items()
        ],
        empty="",
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _shown(name: str, value: object) -> object:
    if value is not None and is_secret_name(name):
        return "***"
    return json.loads(redact(json.dumps(value, ensure_ascii=False)))
