"""`imagery orders`: what was ordered at providers that deliver later."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Annotated, Any

import typer

from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer
from imagery.errors import OrderUnknown
from imagery.model.codec import to_dict
from imagery.model.order import Order, OrderQuery, OrderStatus
from imagery.model.paging import walk

app = typer.Typer(no_args_is_help=True, help="Orders at providers that deliver later: list, show.")


@app.command("list")
def list_orders(
    status: Annotated[OrderStatus | None, typer.Option("--status", help="Only those.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Newest first, and what was ordered today."""
    query = OrderQuery(status=status, limit=min(limit, 500))
    with open_house(data_dir) as imagery:
        orders, today = imagery.orders, imagery.clock().date()
        found = list(islice(walk(lambda cursor: orders.find(replace(query, cursor=cursor))), limit))
        hectares = orders.hectares(today)
    printer = Printer(as_json=as_json)
    printer.document({"orders": [_shown(order) for order in found], "hectares_today": hectares})
    printer.table(
        ("name", "order", "status", "items", "hectares", "created", "looks", "message"),
        [
            (
                o.name,
                o.order_id,
                o.status,
                ", ".join(o.wish.item_ids),
                f"{o.hectares:.1f}",
                o.created_at,
                o.looks,
                o.message,
            )
            for o in found
        ],
        empty="Nothing was ordered yet.",
    )
    printer.line(f"{hectares:.1f} ha ordered on {today} (UTC)")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="The order's name, or the provider's id of it.", metavar="NAME")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """One order, with its area."""
    with open_house(data_dir) as imagery:
        orders = imagery.orders
        found = orders.get(name)
        if found is None:
            every = walk(lambda cursor: orders.find(OrderQuery(limit=500, cursor=cursor)))
            found = next((order for order in every if order.order_id == name), None)
    if found is None:
        raise OrderUnknown(f"there is no order {name}; see `imagery orders list`")
    printer = Printer(as_json=as_json)
    printer.document(_shown(found, with_area=True))
    printer.pairs(
        {
            "name": found.name,
            "order": found.order_id,
            "provider": f"{found.provider}, {found.wish.collection}",
            "status": found.status,
            "message": found.message or None,
            "items": ", ".join(found.wish.item_ids),
            "assets": ", ".join(found.wish.assets),
            "harmonised to": found.wish.harmonise_to,
            "hectares": f"{found.hectares:.1f}",
            "subscriptions": ", ".join(found.subscription_ids),
            "execution": found.execution_id,
            "created": found.created_at,
            "placed": found.placed_at,
            "looks": found.looks,
            "next look": found.look_at,
        }
    )


def _shown(order: Order, *, with_area: bool = False) -> dict[str, Any]:
    """Without what opens anything."""
    document: dict[str, Any] = to_dict(order)
    for secret in ("task_token", "webhook_key"):
        del document[secret]
    if not with_area:
        del document["wish"]["aoi"]
    return document
