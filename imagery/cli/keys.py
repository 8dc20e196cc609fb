"""`imagery keys`: who may call the HTTP API."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.model.access import ApiKey
from imagery.model.codec import to_dict

app = typer.Typer(no_args_is_help=True, help="API keys: make, list, revoke.")


@app.command()
def create(
    owner: Annotated[str, typer.Option("--owner", help="Whose subscriptions and items the key opens.")],
    operator: Annotated[bool, typer.Option("--operator", help="It sees every owner's.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown this once and kept only as a hash."""
    with open_house(data_dir, make=True) as imagery:
        key, text = imagery.keys.create(owner, operator=operator)
    printer = Printer(as_json=as_json)
    printer.document({**_view(key), "key": text})
    printer.pairs({"key": text, "id": key.id, "owner": key.owner})
    printer.line("Keep it: it cannot be shown again. Send it as `Authorization: Bearer <key>`.")


@app.command("list")
def list_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """All keys ever made, without their secrets."""
    with open_house(data_dir) as imagery:
        keys = imagery.keys.list()
    printer = Printer(as_json=as_json)
    printer.document({"keys": [_view(key) for key in keys]})
    printer.table(
        ("id", "owner", "operator", "created", "revoked"),
        [(k.id, k.owner, "yes" if k.operator else "no", k.created_at, k.revoked_at) for k in keys],
        empty="There is no key yet; make one with `imagery keys create --owner NAME`.",
    )


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `imagery keys list` shows it.", metavar="ID")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """It opens nothing from now on."""
    with open_house(data_dir) as imagery:
        imagery.keys.revoke(key_id)
    printer = Printer(as_json=as_json)
    printer.document({"id": key_id, "revoked": True})
    printer.line(f"revoked {key_id}")


def _view(key: ApiKey) -> dict[str, Any]:
    view = to_dict(key)
    del view["secret_sha256"]
    return view
