"""`imagery verify`: reads again what was published, and says what is not as it was made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.model.codec import to_dict
from imagery.model.paging import walk
from imagery.model.subscription import SubscriptionQuery, SubscriptionStatus

if TYPE_CHECKING:
    from imagery.service.verifying import Difference
    from imagery.wiring import Imagery

MOST_LISTED = 10_000
"""Differences in the JSON document; all are counted."""


def verify(
    subscription: Annotated[list[str] | None, typer.Argument(help="Ids of subscriptions.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Of every subscription.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Read again every item and every file that was published: there, whole, and as the item says?

    Changes nothing. Ends with 1 when something differs. Files that no item names are not looked for.
    """
    if bool(subscription) == every:
        raise typer.BadParameter("name subscriptions, or ask for --all of them", param_hint="SUBSCRIPTION")
    printer = Printer(as_json=as_json)
    counts = {"subscriptions": 0, "items": 0, "assets": 0, "bytes": 0, "different": 0}
    listed: list[Difference] = []
    with open_house(data_dir) as imagery, _progress() as show:
        for subscription_id in _all_ids(imagery) if every else _known(imagery, subscription or []):
            counts["subscriptions"] += 1
            for verified in imagery.verification.verify(subscription_id):
                counts["items"] += 1
                counts["assets"] += verified.assets
                counts["bytes"] += verified.bytes
                counts["different"] += len(verified.differences)
                for difference in verified.differences:
                    _say(difference, printer)
                listed += verified.differences[: MOST_LISTED - len(listed)]
                show(f"{counts['items']} items read again, {counts['different']} differences")
    printer.document({**counts, "differences": [to_dict(one) for one in listed]})
    printer.line(
        f"{counts['items']} items of {counts['subscriptions']} subscriptions, {counts['assets']} files, "
        f"{counts['bytes']} bytes: {counts['different'] or 'no'} differences"
    )
    if counts["different"]:
        raise typer.Exit(1)


def _say(difference: Difference, printer: Printer) -> None:
    name = f"asset {difference.asset} of {difference.item_id}" if difference.asset else f"item {difference.item_id}"
    printer.line(f"{name} {difference.what}")
    printer.line(f"  {difference.href}")
    printer.line(f"  {difference.remedy}")


def _all_ids(imagery: Imagery) -> Iterator[str]:
    found = walk(lambda cursor: imagery.subscriptions.find(OPERATOR, SubscriptionQuery(limit=500, cursor=cursor)))
    # Of one that is being removed the items go first: what is left of it is no difference.
    return (one.id for one in found if one.status is not SubscriptionStatus.DELETING)


def _known(imagery: Imagery, ids: list[str]) -> list[str]:
    """Raises SubscriptionUnknown before anything is read."""
    return [imagery.subscriptions.get(OPERATOR, subscription_id).id for subscription_id in dict.fromkeys(ids)]


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """On a terminal only."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("reading", total=None)
        yield lambda text: bars.update(task, description=text)
