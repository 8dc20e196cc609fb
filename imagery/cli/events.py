"""`imagery events`: what happened to subscriptions, how it was told, and telling it again."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer
from imagery.model.codec import to_dict
from imagery.model.event import DeliveryLog, Event, EventQuery, EventType
from imagery.model.paging import walk
from imagery.notifiers.cloudevents import to_cloudevent

if TYPE_CHECKING:
    from imagery.wiring import Imagery

app = typer.Typer(no_args_is_help=True, help="What happened to subscriptions, and how it was told.")

Id = Annotated[str, typer.Argument(help="The event's id.", metavar="ID")]


@app.command("list")
def list_events(
    *,
    subscription: Annotated[str | None, typer.Option("--subscription", help="Only of this one.")] = None,
    type_: Annotated[EventType | None, typer.Option("--type", help="Only of this type.")] = None,
    limit: Limit = 100,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Every owner's, newest first."""
    query = EventQuery(subscription_id=subscription, type=type_, limit=500)
    with open_house(data_dir) as imagery:
        service = imagery.notifications
        found = list(islice(walk(lambda cursor: service.find(OPERATOR, replace(query, cursor=cursor))), limit))
        documents = [_document(imagery, event) for event in found]
        logs = [service.log(OPERATOR, event.id) for event in found]
    printer = Printer(as_json=as_json)
    printer.document({"events": documents})
    printer.table(
        ("id", "at", "type", "subject", "owner", "told"),
        [
            (event.id, event.at, event.type, event.subject, event.owner, _standing(log))
            for event, log in zip(found, logs, strict=True)
        ],
        empty="Nothing has happened yet, or it is too long ago.",
    )


@app.command()
def show(event_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """One event, with the log of its delivery."""
    with open_house(data_dir) as imagery:
        event = imagery.notifications.get(OPERATOR, event_id)
        log = imagery.notifications.log(OPERATOR, event_id)
        document = _document(imagery, event)
    _print(event, document, log, as_json=as_json)


@app.command()
def redeliver(event_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Tell it again, now; a running `imagery serve` does it at once."""
    with open_house(data_dir) as imagery:
        event = imagery.notifications.get(OPERATOR, event_id)
        log = imagery.notifications.redeliver(OPERATOR, event_id)
        document = _document(imagery, event)
    _print(event, document, log, as_json=as_json)


def _document(imagery: Imagery, event: Event) -> dict[str, Any]:
    return to_cloudevent(event, base_url=imagery.settings.public_url or "")


def _print(event: Event, document: dict[str, Any], log: DeliveryLog, *, as_json: bool) -> None:
    printer = Printer(as_json=as_json)
    standing = log.delivery
    delivery = (
        {"status": standing.status, "tries": standing.tries, "next_at": to_dict(standing)["next_at"]}
        if standing
        else None
    )
    printer.document({"event": document, "delivery": delivery, "attempts": [to_dict(one) for one in log.attempts]})
    printer.pairs(
        {
            "id": event.id,
            "type": event.type,
            "at": event.at,
            "owner": event.owner,
            "subscription": event.subscription_id,
            "subject": event.subject,
            **{name.replace("_", " "): value for name, value in event.data.items()},
            "told": _standing(log),
            "next try": standing.next_at if standing else None,
        }
    )
    printer.line()
    printer.table(
        ("at", "to", "answer", "took", "why not", "it said"),
        [(a.at, a.url, a.status_code, f"{a.took_s:.2f} s", a.error, a.snippet[:80]) for a in log.attempts],
        empty="Nobody was told yet.",
    )


def _standing(log: DeliveryLog) -> str:
    return str(log.delivery.status) if log.delivery else "no webhook"
