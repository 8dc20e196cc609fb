"""`imagery subscriptions`: what is wanted, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer, percent
from imagery.cli.processing import processing_facts
from imagery.model.codec import to_dict
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import walk
from imagery.model.subscription import Subscription, SubscriptionQuery, SubscriptionStatus

app = typer.Typer(no_args_is_help=True, help="Subscriptions: create, look at, pause, delete.")

Id = Annotated[str, typer.Argument(help="The subscription's id.", metavar="ID")]


@app.command("list")
def list_subscriptions(
    *,
    owner: Annotated[str | None, typer.Option("--owner", help="Only this owner's.")] = None,
    status: Annotated[list[SubscriptionStatus] | None, typer.Option("--status", help="Only those; repeatable.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider's.")] = None,
    limit: Limit = 1000,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Every owner's, oldest first."""
    query = SubscriptionQuery(owner=owner, statuses=frozenset(status or ()), provider=provider, limit=500)
    with open_house(data_dir) as imagery:
        store = imagery.subscriptions.store
        found = list(islice(walk(lambda cursor: store.find(replace(query, cursor=cursor))), limit))
        counts = {subscription.id: imagery.subscriptions.ledger.counts(subscription.id) for subscription in found}
    printer = Printer(as_json=as_json)
    printer.document({"subscriptions": [{**as_document(s), "outcomes": dict(counts[s.id])} for s in found]})
    printer.table(
        ("id", "owner", "status", "provider", "collection", "from", "until", "delivered", "skipped", "waiting"),
        [
            (
                *(s.id, s.owner, s.status, s.provider, s.collection, s.start_at, s.end_at),
                *(counts[s.id][each] for each in _COUNTED),
            )
            for s in found
        ],
        empty="There is no such subscription; make one with `imagery subscriptions create FIELD.geojson …`.",
    )


@app.command()
def show(subscription_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """One subscription: how many source items ended how, and to how many images they came."""
    with open_house(data_dir) as imagery:
        subscription = imagery.subscriptions.get(OPERATOR, subscription_id)
        counts = imagery.subscriptions.progress(OPERATOR, subscription_id)
        images = imagery.subscriptions.images(OPERATOR, subscription_id)
        href = imagery.objects.href(subscription.prefix)
        looks = imagery.subscriptions.looks_of(subscription)
    done = sum(look.done_at is not None for look in looks)
    backfill = {"windows": len(looks), "done": done} if looks else None
    printer = Printer(as_json=as_json)
    printer.document(
        {
            **as_document(subscription),
            "outcomes": dict(counts),
            "images": images,
            "backfill": backfill,
            "objects": href,
        }
    )
    looked_back = f"{done} of {len(looks)} windows" if looks else None
    printer.pairs({**facts(subscription), "looked back": looked_back, "objects": href})
    acquisitions = ", ".join(f"{number} {status}" for status, number in counts.items())
    printer.line(f"source items: {acquisitions}; images: {images}")


@app.command()
def ledger(
    subscription_id: Id,
    *,
    status: Annotated[OutcomeStatus | None, typer.Option("--status", help="Only rows that stand so.")] = None,
    days: Annotated[bool, typer.Option("--days", help="Day by day, those without an acquisition too.")] = False,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First of the days.")] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last; else today, or the subscription's end.")
    ] = None,
    limit: Limit = 1000,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How each acquisition ended, and why; newest first. With --days: why there is an image of a day, or none."""
    if days or first or last:
        _show_days(subscription_id, first, last, data_dir, as_json)
        return
    query = OutcomeQuery(subscription_id=subscription_id, status=status, limit=500)
    with open_house(data_dir) as imagery:
        imagery.subscriptions.get(OPERATOR, subscription_id)
        rows = imagery.subscriptions.ledger
        found = list(islice(walk(lambda cursor: rows.find(replace(query, cursor=cursor))), limit))
    printer = Printer(as_json=as_json)
    printer.document({"outcomes": [to_dict(outcome) for outcome in found]})
    printer.table(
        ("acquired", "item", "status", "reason", "coverage", "clear", "cloud", "explanation"),
        [
            (
                *(o.acquired_at, o.item_id, o.status, _reason(o)),
                *(percent(o.numbers.get("coverage")), percent(o.numbers.get("clear")), _cloud(o), o.explanation),
            )
            for o in found
        ],
        empty="No acquisition is known yet.",
    )


@app.command()
def pause(subscription_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Look for nothing more until it is resumed."""
    _set_status(subscription_id, SubscriptionStatus.PAUSED, data_dir, as_json)


@app.command()
def resume(subscription_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Go on, with what was published meanwhile."""
    _set_status(subscription_id, SubscriptionStatus.ACTIVE, data_dir, as_json)


@app.command()
def delete(subscription_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Mark it; it goes after the retention, and can be restored until then."""
    with open_house(data_dir) as imagery:
        _changed(imagery.subscriptions.delete(OPERATOR, subscription_id), as_json)


@app.command()
def restore(subscription_id: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take the mark of deletion off."""
    with open_house(data_dir) as imagery:
        _changed(imagery.subscriptions.restore(OPERATOR, subscription_id), as_json)


def as_document(subscription: Subscription, *, with_secret: bool = False) -> dict[str, Any]:
    """It as JSON; its webhook's secret only where that was made just now."""
    document = to_dict(subscription)
    # As over HTTP: the area is GeoJSON, and what was reckoned of it stands beside it.
    area = document.pop("aoi")
    document = {**document, "aoi": area.pop("geometry"), **area}
    webhook = subscription.webhook
    if webhook is not None:
        disabled_at = document["webhook"]["disabled_at"]
        shown = {"secret": webhook.secret} if with_secret else {}
        document["webhook"] = {"url": webhook.url, "disabled_at": disabled_at, **shown}
    return document


def facts(subscription: Subscription) -> dict[str, object]:
    """What a person wants to know of it first."""
    filters = subscription.filters
    return {
        "id": subscription.id,
        "owner": subscription.owner,
        "status": subscription.status,
        "provider": subscription.provider,
        "collection": subscription.collection,
        "assets": ", ".join(subscription.assets),
        "area": f"{subscription.aoi.area_km2:.4g} km², bbox {', '.join(f'{n:.5f}' for n in subscription.aoi.bbox)}",
        "from": subscription.start_at,
        "until": subscription.end_at,
        "max cloud cover": None if filters.max_cloud_cover is None else f"{filters.max_cloud_cover:g} %",
        "min clear": None if filters.min_clear_fraction is None else percent(filters.min_clear_fraction),
        "min coverage": None if filters.min_coverage is None else percent(filters.min_coverage),
        **processing_facts(subscription.processing),
        "webhook": _webhook(subscription),
        "labels": ", ".join(f"{name}={value}" for name, value in subscription.labels.items()) or None,
        "checked through": subscription.checked_through,
        "last delivery": subscription.last_update_at,
        "delete at": subscription.delete_at,
    }


def _webhook(subscription: Subscription) -> str | None:
    webhook = subscription.webhook
    if webhook is None:
        return None
    gone = f" (disabled {webhook.disabled_at:%Y-%m-%d %H:%M} UTC: it answered 410 Gone)" if webhook.disabled_at else ""
    return webhook.url.partition("?")[0] + gone


def _show_days(
    subscription_id: str, first: datetime | None, last: datetime | None, data_dir: DataDir, as_json: bool
) -> None:
    with open_house(data_dir) as imagery:
        found = imagery.days.find(
            OPERATOR, subscription_id, first=first.date() if first else None, last=last.date() if last else None
        )
    printer = Printer(as_json=as_json)
    printer.document({"days": [{**to_dict(day), "images": day.images, "counts": day.counts} for day in found]})
    printer.table(
        ("day", "status", "images", "acquisitions", "explanation"),
        [(day.date, day.status, day.images, len(day.outcomes), day.explanation) for day in found],
        empty="No such day.",
    )


def _set_status(subscription_id: str, status: SubscriptionStatus, data_dir: DataDir, as_json: bool) -> None:
    with open_house(data_dir) as imagery:
        changed = imagery.subscriptions.change(OPERATOR, subscription_id, {"status": status}, expected_version=None)
        _changed(changed, as_json)


def _changed(subscription: Subscription, as_json: bool) -> None:
    printer = Printer(as_json=as_json)
    printer.document(as_document(subscription))
    until = f"; it goes at {subscription.delete_at:%Y-%m-%d %H:%M} UTC" if subscription.delete_at else ""
    printer.line(f"{subscription.id} is {subscription.status}{until}")


def _cloud(outcome: Outcome) -> str:
    """As `max_cloud_cover` sees it, which is percent already."""
    cover = outcome.numbers.get("cloud_cover")
    return "-" if cover is None else f"{cover:.1f} %"


def _reason(outcome: Outcome) -> Any:
    return outcome.reason or outcome.error


_COUNTED = (OutcomeStatus.DELIVERED, OutcomeStatus.SKIPPED, OutcomeStatus.WAITING)
