"""`imagery subscriptions webhook`: who is told of a subscription's events."""

from __future__ import annotations

from typing import Annotated

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.cli.subscriptions import Id, as_document


def webhook(
    subscription_id: Id,
    *,
    url: Annotated[str | None, typer.Option("--url", help="Tell this one; enables one that was disabled.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Tell nobody.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make a new secret; the old one counts a day yet.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Set, remove or rotate the webhook; a secret made by it is shown, this once."""
    if [url is not None, remove, rotate].count(True) != 1:
        raise typer.BadParameter("give one of --url, --remove and --rotate")
    with open_house(data_dir) as imagery:
        service = imagery.subscriptions
        before = service.get(OPERATOR, subscription_id)
        if rotate:
            after = service.rotate_secret(OPERATOR, subscription_id)
        else:
            after = service.change(OPERATOR, subscription_id, {"webhook": url}, expected_version=before.version)
    told = after.webhook
    is_new = told is not None and (before.webhook is None or before.webhook.secret != told.secret)
    printer = Printer(as_json=as_json)
    printer.document(as_document(after, with_secret=is_new))
    printer.pairs(
        {
            "id": after.id,
            "webhook": told.url if told else "none",
            "secret": f"{told.secret}  (shown this once)" if told and is_new else None,
        }
    )
