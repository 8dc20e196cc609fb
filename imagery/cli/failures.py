"""`imagery failures`: what could not be done, and trying it again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Annotated

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir, Limit, parse_end, parse_start
from imagery.cli.printing import Printer
from imagery.cli.queue import what_of
from imagery.model.codec import to_dict
from imagery.model.failure import FailureQuery
from imagery.model.paging import walk
from imagery.service.failures import Replays

app = typer.Typer(no_args_is_help=True, help="Requests that failed for good.")

Subscription = Annotated[str | None, typer.Option("--subscription", help="Only of this one.")]
Provider = Annotated[str | None, typer.Option("--provider", help="Only of this one.")]
Error = Annotated[str | None, typer.Option("--error", help="Only of this kind, as RasterUnreadable.")]
Text = Annotated[str | None, typer.Option("--text", help="Only those whose cause holds this.")]
Start = Annotated[str | None, typer.Option("--start", help="Failed at or after this date or instant.")]
End = Annotated[str | None, typer.Option("--end", help="Failed at or before this date or instant.")]
Retryable = Annotated[
    bool | None, typer.Option("--retryable/--final", help="Only those that waiting can help, or cannot.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@app.command("list")
def list_failures(
    *,
    subscription: Subscription = None,
    provider: Provider = None,
    error: Error = None,
    text: Text = None,
    start: Start = None,
    end: End = None,
    retryable: Retryable = None,
    limit: Limit = 100,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Newest first."""
    query = _query(
        subscription=subscription, provider=provider, error=error, text=text, start=start, end=end, retryable=retryable
    )
    with open_house(data_dir) as imagery:
        service = imagery.failures
        pages = walk(lambda cursor: service.find(OPERATOR, replace(query, limit=500, cursor=cursor)))
        found = list(islice(pages, limit))
    printer = Printer(as_json=as_json)
    printer.document({"failures": [to_dict(failure) for failure in found]})
    printer.table(
        ("id", "failed", "owner", "error", "can waiting help", "replay", "cause"),
        [(f.id, f.failed_at, f.owner, f.error, _yes(f.retryable), f.replay_id, f.cause) for f in found],
        empty="Nothing has failed.",
    )


@app.command("counts")
def count_failures(
    *,
    subscription: Subscription = None,
    provider: Provider = None,
    text: Text = None,
    start: Start = None,
    end: End = None,
    retryable: Retryable = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How many there are of each error."""
    query = _query(
        subscription=subscription, provider=provider, error=None, text=text, start=start, end=end, retryable=retryable
    )
    with open_house(data_dir) as imagery:
        counts = imagery.failures.counts(OPERATOR, query)
    printer = Printer(as_json=as_json)
    printer.document({"counts": dict(counts)})
    rows = sorted(counts.items(), key=lambda each: -each[1])
    printer.table(("error", "failures"), rows, empty="Nothing has failed.")


@app.command("show")
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
            "can waiting help": _yes(failure.retryable),
            "replay under way": failure.replay_id,
            "owner": failure.owner,
            "provider": f"{failure.request.provider}, {failure.request.collection}",
            "request": f"{failure.request.kind}, {what_of(failure.request)}, attempt {failure.request.attempt}",
            "subscriptions": ", ".join(failure.request.subscription_ids),
        }
    )


@app.command("replay")
def replay_failures(
    *,
    failure_ids: Annotated[list[str] | None, typer.Argument(help="Ids of failures.", metavar="ID…")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that match the options below.")] = False,
    subscription: Subscription = None,
    provider: Provider = None,
    error: Error = None,
    text: Text = None,
    start: Start = None,
    end: End = None,
    retryable: Retryable = None,
    limit: Limit = 1000,
    rate: Annotated[int | None, typer.Option("--rate", min=1, help="Most in a minute; else the setting.")] = None,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Try them again, at their old priority. Asking twice tries once."""
    if bool(failure_ids) == every:
        raise typer.BadParameter("give ids, or --all with what they must match; see --help", param_hint="ID")
    with open_house(data_dir) as imagery:
        leave = _paced(rate or imagery.settings.replays_per_minute)
        if failure_ids:
            for failure_id in failure_ids:
                imagery.failures.get(OPERATOR, failure_id)  # a mistyped one is said, not passed over
            done = imagery.failures.replay_each(OPERATOR, failure_ids, dry_run=dry_run, leave=leave)
        else:
            query = replace(
                _query(
                    subscription=subscription,
                    provider=provider,
                    error=error,
                    text=text,
                    start=start,
                    end=end,
                    retryable=retryable,
                ),
                limit=limit,
            )
            done = imagery.failures.replay_many(OPERATOR, query, dry_run=dry_run, leave=leave)
    _say(done, dry_run=dry_run, as_json=as_json)


@app.command("delete")
def delete_failures(
    failure_ids: Annotated[list[str], typer.Argument(help="Ids of failures.", metavar="ID…")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Forget them; the ledger goes on saying that their acquisitions failed."""
    with open_house(data_dir) as imagery:
        for failure_id in failure_ids:
            imagery.failures.delete(OPERATOR, failure_id)
    printer = Printer(as_json=as_json)
    printer.document({"deleted": failure_ids})
    printer.line(f"{len(failure_ids)} deleted")


def _say(done: Replays, *, dry_run: bool, as_json: bool) -> None:
    printer = Printer(as_json=as_json)
    printer.document({"replays": [to_dict(one) for one in done.replays], "left": done.left, "dry_run": dry_run})
    printer.table(
        ("failure", "new attempt", ""),
        [(one.failure_id, one.request_id, "under way already" if one.is_repeat else "") for one in done.replays],
        empty="Nothing to replay.",
    )
    verb = "would be replayed" if dry_run else "replayed"
    printer.line(f"{len(done.replays)} {verb}, {done.left} left")


def _query(
    *,
    subscription: str | None,
    provider: str | None,
    error: str | None,
    text: str | None,
    start: str | None,
    end: str | None,
    retryable: bool | None,
) -> FailureQuery:
    return FailureQuery(
        subscription_id=subscription,
        provider=provider,
        error=error,
        text=text,
        failed_from=parse_start(start),
        failed_to=parse_end(end),
        retryable=retryable,
    )


def _paced(per_minute: int) -> Callable[[], float]:
    """Leave for the first at once, and for each other after a while."""
    begun: list[float] = []

    def leave() -> float:
        if begun:
            time.sleep(60 / per_minute)
        begun.append(0.0)
        return 0.0

    return leave


def _yes(value: bool) -> str:
    return "yes" if value else "no"
