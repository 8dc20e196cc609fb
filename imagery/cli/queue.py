"""`imagery requests`, `imagery failures`, `imagery check`: the work that is due, and what could not be done."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Annotated

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer
from imagery.model.codec import to_dict
from imagery.model.failure import FailureQuery
from imagery.model.paging import walk
from imagery.model.request import Request

failures = typer.Typer(no_args_is_help=True, help="Requests that failed for good.")
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
        [(r.id, r.kind, r.priority, r.provider, r.collection, _what(r), r.created_at) for r in upcoming],
        empty="No request is waiting.",
    )


@failures.command("list")
def list_failures(
    subscription: Annotated[str | None, typer.Option("--subscription", help="Only of this one.")] = None,
    error: Annotated[str | None, typer.Option("--error", help="Only of this kind, as RasterUnreadable.")] = None,
    limit: Limit = 100,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Newest first."""
    query = FailureQuery(subscription_id=subscription, error=error, limit=500)
    with open_house(data_dir) as imagery:
        service = imagery.failures
        found = list(islice(walk(lambda cursor: service.find(OPERATOR, replace(query, cursor=cursor))), limit))
    printer = Printer(as_json=as_json)
    printer.document({"failures": [to_dict(failure) for failure in found]})
    printer.table(
        ("id", "failed", "owner", "error", "cause"),
        [(f.id, f.failed_at, f.owner, f.error, f.cause) for f in found],
        empty="Nothing has failed.",
    )


@failures.command("show")
def show_failure(
    failure_id: Annotated[str, typer.Argument(help="The failure's id.", metavar="ID")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """One failure, with its request."""
    with open_house(data_dir) as imagery:
        failure = imagery.failures.get(OPERATOR, failure_id)
    printer = Printer(as_json=as_json)
    printer.document(to_dict(failure))
    printer.pairs(
        {
            "id": failure.id,
            "error": failure.error,
            "cause": failure.cause,
            "state": failure.state,
            "failed": failure.failed_at,
            "can waiting help": "yes" if failure.retryable else "no",
            "owner": failure.owner,
            "provider": f"{failure.request.provider}, {failure.request.collection}",
            "request": f"{failure.request.kind}, {_what(failure.request)}, attempt {failure.request.attempt}",
            "subscriptions": ", ".join(failure.request.subscription_ids),
        }
    )


@check.command()
def updates(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Look for what is new at every provider."""
    with open_house(data_dir) as imagery:
        report = imagery.update_checker.run(now=imagery.clock())
    printer = Printer(as_json=as_json)
    printer.document(to_dict(report))
    printer.line(
        f"{report.feeds} feeds read, {report.searched} groups searched, {report.requested} items asked for, "
        f"{report.failed} not checked"
    )
    if report.failed:
        raise typer.Exit(1)


@check.command()
def ledger(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compare what providers have with the ledger, and ask for what is missing; the service does so daily."""
    with open_house(data_dir) as imagery:
        report = imagery.reconciler.run(now=imagery.clock())
    printer = Printer(as_json=as_json)
    printer.document(to_dict(report))
    printer.line(
        f"{report.groups} groups compared, {report.requested} items asked for, {report.looks} looks taken up again, "
        f"{report.failed} not compared"
    )
    if report.failed:
        raise typer.Exit(1)


@check.command()
def deletions(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End subscriptions whose time is over, and remove those whose retention is."""
    with open_house(data_dir) as imagery:
        report = imagery.delete_checker.run(now=imagery.clock())
    printer = Printer(as_json=as_json)
    printer.document(to_dict(report))
    printer.line(
        f"{report.ended} ended, {report.removed} removed with {report.items} items and {report.objects} objects, "
        f"{report.failed} not removed"
    )
    if report.failed:
        raise typer.Exit(1)


def _what(request: Request) -> str:
    if request.window is not None:
        return f"{request.window.start_at:%Y-%m-%d} to {request.window.end_at:%Y-%m-%d}"
    return ", ".join(request.item_ids)
