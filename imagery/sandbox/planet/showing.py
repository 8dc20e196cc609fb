"""An order as its account is shown it: description, results with links, the bodies of webhooks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from imagery.model.codec import parse_instant
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.behaviour import Names, Notice
from imagery.sandbox.planet.book import Row

ORDERS = "/compute/ops/orders/v2"
DOWNLOAD = "/compute/ops/download/"

_ECHOED = ("delivery", "metadata", "notifications", "order_type", "products", "source_type", "tools")
"""Of the creation's body, as recorded; `subscription_id` and others are not shown."""

_RUNNING = (
    "starting",
    "Waiting for {tools} operations to complete",
    "{tools}/ completed - delivering results",
    "Waiting for delivery to complete (Running:1 Succeeded:0 Failed:0)",
)
"""Recorded, in this order, with `merge` or `merge+clip` for the tools."""


def describe(account: Account, row: Row, *, with_results: bool = True) -> dict[str, Any]:
    """What GET answers; a list leaves results out."""
    links: dict[str, Any] = {"_self": f"{row.url}{ORDERS}/{row.id}"}
    if with_results and row.results:
        links["results"] = results(account, row)
    echoed = {name: row.request[name] for name in _ECHOED if name in row.request}
    return {
        "_links": links,
        "created_on": shown(row.created_on),
        "error_hints": list(row.hints),
        "id": row.id,
        "last_message": _message(account, row),
        "last_modified": shown(row.last_modified),
        "name": row.name,
        **echoed,
        "state": row.state,
    }


def results(account: Account, row: Row) -> list[dict[str, Any]]:
    """Each file with a link that works from now on for as long as links do."""
    expires_at = account.clock() + account.behaviour.link_lifetime
    return [
        {
            "delivery": "success",
            "expires_at": _milliseconds(expires_at + timedelta(milliseconds=number)),
            "location": f"{row.url}{DOWNLOAD}?token={account.links.sign(row.id, path, expires_at=expires_at)}",
            "name": _name(row, path, account.behaviour.names),
        }
        for number, path in enumerate(row.results)
    ]


def notices(account: Account, row: Row, *, is_per_order: bool) -> list[str]:
    """Bodies of the calls for an order that is final: one, or one for each file it made."""
    if account.behaviour.notice is Notice.ORDER:
        whole = json.dumps(describe(account, row))
        return [whole] * (1 if is_per_order else max(1, len(row.results)))
    made = results(account, row)
    batches = [made] if is_per_order or not made else [[one] for one in made]
    return [json.dumps({"items": batch, "order_id": row.id}) for batch in batches]


def shown(instant: str) -> str:
    """Milliseconds, as Planet shows them."""
    return _milliseconds(parse_instant(instant))


def _milliseconds(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond // 1000:03d}Z"


def _name(row: Row, path: str, names: Names) -> str:
    if names is Names.MIXED and path.endswith(".tif"):
        return PurePosixPath(path).name
    return f"{row.id}/{path}"


def _message(account: Account, row: Row) -> str:
    if row.state != "running" or row.next_at is None:
        return row.message
    begun, ending = parse_instant(row.last_modified), parse_instant(row.next_at)
    share = (account.clock() - begun) / max(ending - begun, timedelta(microseconds=1))
    message = _RUNNING[min(len(_RUNNING) - 1, max(0, int(share * len(_RUNNING))))]
    return message.format(tools="+".join(_tool_names(row.request)) or "delivery")


def _tool_names(request: Mapping[str, Any]) -> list[str]:
    return [name for tool in request.get("tools") or () for name in tool]
