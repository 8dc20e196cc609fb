"""`imagery pause`, `imagery resume`, `imagery limits`: the global stop, and what else holds work back."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.model.codec import to_dict
from imagery.model.control import LimitStatus, Pause


def pause(
    reason: Annotated[str | None, typer.Option("--reason", help="Why; everyone sees it in /health.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Start no work from now on, over restarts too, until `imagery resume`. What is under way finishes.

    Requests stay queued and new items are still looked for, so nothing is missed; nothing is deleted either.
    """
    with open_house(data_dir) as imagery:
        in_force = imagery.admission.pause(by=_user(), reason=reason)
    printer = Printer(as_json=as_json)
    printer.document({"paused": to_dict(in_force)})
    printer.line(_sentence(in_force))


def resume(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """End the pause: what has queued up meanwhile is started, the most urgent first."""
    with open_house(data_dir) as imagery:
        ended = imagery.admission.resume()
        waiting = sum(imagery.queue.depth().values())
    printer = Printer(as_json=as_json)
    printer.document({"resumed": ended is not None, "was_paused": to_dict(ended) if ended else None})
    printer.line(f"resumed; {waiting} requests are waiting" if ended else "it was not paused")


def limits(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Every limit to how much work is started, how much of it is used up, and when it lifts."""
    with open_house(data_dir) as imagery:
        in_force, found = imagery.admission.paused(), imagery.dispatcher.limits()
        most = imagery.settings.max_subscriptions_per_owner
    printer = Printer(as_json=as_json)
    printer.document(
        {
            "paused": to_dict(in_force) if in_force else None,
            "limits": [_view(limit) for limit in found],
            "max_subscriptions_per_owner": most,
        }
    )
    printer.line(_sentence(in_force) if in_force else "not paused")
    printer.table(
        ("limit", "used", "of", "reached", "lifts"),
        [(x.name, x.used, x.limit, "yes" if x.is_reached else "", x.lifts_at or "") for x in found],
        empty="",
    )
    printer.line(f"An owner may have {most} subscriptions.")


def _sentence(pause: Pause) -> str:
    why = f": {pause.reason}" if pause.reason else ""
    return f"paused since {pause.at:%Y-%m-%d %H:%M:%S} UTC by {pause.by}{why}"


def _view(limit: LimitStatus) -> dict[str, Any]:
    return {**to_dict(limit), "is_reached": limit.is_reached}


def _user() -> str:
    """Who runs this command, as the operating system names them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container's user may have a number and no name
