"""`imagery requests` and `imagery check`: the work that is due."""

from __future__ import annotations

import typer

from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer, answer_check
from imagery.model.codec import to_dict
from imagery.model.request import Request

check = typer.Typer(no_args_is_help=True, help="Do now what the service does on its schedules.")


def requests(limit: Limit = 20, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The processing queue: how many wait at each priority, and what comes next."""
    with open_house(data_dir) as imagery:
        depth, upcoming = imagery.queue.depth(), imagery.queue.peek(limit)
    printer = Printer(as_json=as_json)
    printer.document(
        {
            "depth": {str(priority): number for priority, number in depth.items()},
            "next": [to_dict(request) for request in upcoming],
        }
    )
    printer.line(", ".join(f"{number} {priority}" for priority, number in depth.items()))
    printer.table(
        ("id", "kind", "priority", "provider", "collection", "what", "created"),
        [(r.id, r.kind, r.priority, r.provider, r.collection, what_of(r), r.created_at) for r in upcoming],
        empty="No request is waiting.",
    )


@check.command()
def updates(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Look for what is new at every provider."""
    with open_house(data_dir) as imagery:
        report = imagery.update_checker.run(now=imagery.clock())
    answer_check(
        report,
        f"{report.feeds} feeds read, {report.searched} groups searched, {report.requested} items asked for, "
        f"{report.failed} not checked",
        failed=report.failed,
        as_json=as_json,
    )


@check.command()
def ledger(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compare what providers have with the ledger, and ask for what is missing; the service does so daily."""
    with open_house(data_dir) as imagery:
        report = imagery.reconciler.run(now=imagery.clock())
    answer_check(
        report,
        f"{report.groups} groups compared, {report.requested} items asked for, {report.looks} looks taken up again, "
        f"{report.failed} not compared",
        failed=report.failed,
        as_json=as_json,
    )


def what_of(request: Request) -> str:
    """What it is to make, for a person."""
    if request.window is not None:
        return f"{request.window.start_at:%Y-%m-%d} to {request.window.end_at:%Y-%m-%d}"
    return ", ".join(request.item_ids)
