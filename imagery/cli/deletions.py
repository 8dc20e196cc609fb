"""`imagery check deletions` and `imagery deletions`: what is due to go, and what went."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer, answer_check
from imagery.model.codec import to_dict
from imagery.model.deletion import DeletionQuery

if TYPE_CHECKING:
    from imagery.wiring import Imagery

MOST_SHOWN = 10_000
"""Of a dry run."""


def check(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End subscriptions whose time is over, remove those whose retention is, and items superseded long enough."""
    with open_house(data_dir) as imagery:
        if dry_run:
            _say_due(imagery, Printer(as_json=as_json))
            return
        report = imagery.delete_checker.run(now=imagery.clock())
    answer_check(
        report,
        f"{report.ended} ended, {report.removed} removed with {report.items} items and {report.objects} objects, "
        f"{report.begun} begun, {report.expired} superseded items removed, {report.failed} not removed",
        failed=report.failed,
        as_json=as_json,
    )


def list_deletions(
    owner: Annotated[str | None, typer.Option("--owner", help="Only of this one.")] = None,
    limit: Limit = 100,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """What went when subscriptions were removed; those that began last first."""
    with open_house(data_dir) as imagery:
        found = imagery.deletions.find(DeletionQuery(owner=owner, limit=limit)).values
    printer = Printer(as_json=as_json)
    printer.document({"deletions": [to_dict(one) for one in found]})
    printer.table(
        ("subscription", "owner", "was", "began", "finished", "items", "objects", "bytes"),
        [(d.subscription_id, d.owner, d.was, d.began_at, d.finished_at, d.items, d.objects, d.bytes) for d in found],
        empty="Nothing was removed.",
    )


def _say_due(imagery: Imagery, printer: Printer) -> None:
    due = list(islice(imagery.delete_checker.due(now=imagery.clock()), MOST_SHOWN))
    rows = [
        {
            "subscription_id": one.subscription.id,
            "owner": one.subscription.owner,
            "status": str(one.subscription.status),
            "would": "end" if one.ends else "go",
            "acquisitions": one.tally.acquisitions,
            "items": one.tally.items,
            "bytes": one.tally.bytes,
        }
        for one in due
    ]
    expired = imagery.delete_checker.expiry.due(now=imagery.clock(), limit=MOST_SHOWN)
    printer.document({"dry_run": True, "due": rows, "expired": [to_dict(product) for product in expired]})
    names = ("subscription_id", "owner", "status", "would", "acquisitions", "items", "bytes")
    printer.table(names, [[row[name] for name in names] for row in rows], empty="No subscription is due.")
    printer.table(
        ("superseded item", "subscription_id", "by", "expired"),
        [(one.item_id, one.subscription_id, one.successor, one.expires_at) for one in expired],
        empty="No superseded item is due.",
    )
