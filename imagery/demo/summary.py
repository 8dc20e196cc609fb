"""What a demo came to: a row an acquisition, and how to go on from there."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from pystac_client import Client

from imagery.demo.running import Demo
from imagery.items import published_collection_id
from imagery.model.codec import format_instant
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import walk

BATCH = 100
"""Ids in one search."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One acquisition over the AOI."""

    acquired_at: datetime
    item_id: str
    """Of the source item."""

    status: OutcomeStatus
    reason: str | None
    """Why it was not delivered."""

    explanation: str
    cloud_cover: float | None
    """Percent of what is shown of the AOI; of the scene where there is no quality band."""

    clear: float | None
    """Fraction of the AOI that is shown clear; None where there is no quality band."""

    coverage: float | None
    """Fraction of the AOI that is shown."""

    published_item_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What is shown at the end."""

    rows: tuple[Row, ...]
    """Oldest acquisition first."""

    missing: tuple[str, ...]
    """Items delivered by the ledger that pystac-client does not find: empty, unless something is broken."""

    clips: str
    """Folder of the clips."""

    python_line: str
    """A shell command that searches the catalog while the service is up."""

    serve_line: str
    """A shell command that serves the same catalog again."""

    def count(self, status: OutcomeStatus) -> int:
        return sum(row.status is status for row in self.rows)


def summarise(demo: Demo) -> Summary:
    """Read the ledger, and look for every delivered item as an analyst would."""
    rows = tuple(sorted(_rows(demo), key=lambda row: (row.acquired_at, row.item_id)))
    published = [row.published_item_id for row in rows if row.published_item_id is not None]
    return Summary(
        rows=rows,
        missing=tuple(sorted(set(published) - set(_found(demo, published)))),
        clips=demo.imagery.objects.href(demo.subscription.prefix).removeprefix("file://"),
        python_line=python_line(demo),
        serve_line=serve_line(demo),
    )


def python_line(demo: Demo) -> str:
    """Runs with the Python this runs with, which has pystac-client."""
    subscription = demo.subscription
    search = {
        "collections": [published_collection_id(subscription.collection)],
        "bbox": [round(number, 6) for number in subscription.aoi.bbox],
        "datetime": f"{subscription.start_at:%Y-%m-%d}/{subscription.end_at:%Y-%m-%d}",
        "sortby": "datetime",
    }
    arguments = ", ".join(f"{name}={_literal(value)}" for name, value in search.items())
    code = (
        f'from pystac_client import Client; items = Client.open("{demo.stac_url}").search({arguments}).items(); '
        'print(*(f"{item.datetime:%Y-%m-%d} {item.id} {list(item.assets)}" for item in items), sep="\\n")'
    )
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"


def serve_line(demo: Demo) -> str:
    """The same catalog at the same address."""
    script = "imagery" if shutil.which("imagery") else f"{shlex.quote(sys.executable)} -m imagery.cli"
    port, data_dir = urlsplit(demo.api_url).port, shlex.quote(str(demo.state.service))
    return f"IMAGERY_PUBLIC_CATALOG=true {script} serve --data-dir {data_dir} --port {port}"


def to_document(demo: Demo, summary: Summary) -> dict[str, Any]:
    """All of it as JSON types."""
    rows = [
        {
            "datetime": format_instant(row.acquired_at),
            "item": row.item_id,
            "status": row.status,
            "reason": row.reason,
            "explanation": row.explanation,
            "cloud_cover": row.cloud_cover,
            "clear": row.clear,
            "coverage": row.coverage,
            "published_item": row.published_item_id,
        }
        for row in summary.rows
    ]
    return {
        "subscription": demo.subscription.id,
        "collection": published_collection_id(demo.subscription.collection),
        "outcomes": {status.value: summary.count(status) for status in OutcomeStatus},
        "acquisitions": rows,
        "orders": {status.value: number for status, number in demo.orders.items()},
        "clips": summary.clips,
        "api_url": demo.api_url,
        "stac_url": demo.stac_url,
        "sandbox_url": demo.sandbox_url,
        "state_dir": str(demo.state.path),
        "api_key_file": str(demo.state.key_file),
        "python": summary.python_line,
        "serve": summary.serve_line,
    }


def _rows(demo: Demo) -> Iterator[Row]:
    query = OutcomeQuery(subscription_id=demo.subscription.id, limit=500)
    ledger = demo.imagery.subscriptions.ledger
    for outcome in walk(lambda cursor: ledger.find(replace(query, cursor=cursor))):
        yield Row(
            acquired_at=outcome.acquired_at,
            item_id=outcome.item_id,
            status=outcome.status,
            reason=outcome.reason or outcome.error,
            explanation=outcome.explanation,
            cloud_cover=_cloud_cover(demo, outcome),
            clear=outcome.numbers.get("clear"),
            coverage=outcome.numbers.get("coverage"),
            published_item_id=outcome.published_item_id,
        )


def _cloud_cover(demo: Demo, outcome: Outcome) -> float | None:
    """As measured when it was judged, else as published."""
    if "cloud_cover" in outcome.numbers or outcome.published_item_id is None:
        return outcome.numbers.get("cloud_cover")
    item = demo.imagery.catalog.get(outcome.published_collection or outcome.collection, outcome.published_item_id)
    return item.properties.get("eo:cloud_cover") if item else None


def _found(demo: Demo, item_ids: Sequence[str]) -> Iterator[str]:
    if not item_ids:
        return
    client, left = Client.open(demo.stac_url), iter(item_ids)
    while batch := list(islice(left, BATCH)):
        yield from (item.id for item in client.search(ids=batch, limit=BATCH).items())


def _literal(value: object) -> str:
    """As Python source with double quotes only, so that the shell's single quotes stay whole."""

    return json.dumps(value)
