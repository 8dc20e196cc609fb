"""Planet's Orders API: one order placed under a name of ours, found by that name, and read until it is final."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from imagery.errors import ProviderAnswerInvalid, ProviderRefused
from imagery.model.order import OrderReading, OrderStatus, OrderWish, Result
from imagery.providers.planet.client import Operation, PlanetClient

PATH = "/compute/ops/orders/v2"
MAX_ITEMS = 500
"""Of one order (docs.planet.com, Orders API limits)."""

_STATUSES: Mapping[str, OrderStatus] = {
    "queued": OrderStatus.ORDERED,
    "running": OrderStatus.PENDING,
    "success": OrderStatus.SUCCEEDED,
    "partial": OrderStatus.SUCCEEDED,
    "failed": OrderStatus.FAILED,
    "cancelled": OrderStatus.CANCELED,
}

BUNDLES: Mapping[frozenset[str], tuple[str, ...]] = {
    frozenset({"ortho_analytic_4b_sr", "ortho_udm2"}): ("analytic_sr_udm2",),
    frozenset({"ortho_analytic_8b_sr", "ortho_udm2"}): ("analytic_8b_sr_udm2",),
    frozenset({"ortho_analytic_4b", "ortho_udm2", "ortho_analytic_4b_xml"}): ("analytic_udm2",),
    frozenset({"ortho_analytic_8b", "ortho_udm2", "ortho_analytic_8b_xml"}): ("analytic_8b_udm2",),
    frozenset({"ortho_visual"}): ("visual",),
}
"""Assets → the bundle of PSScene that holds them (api.planet.com/compute/ops/bundles/spec)."""

_NO_EXPIRY = datetime(1, 1, 2, tzinfo=UTC)
"""Planet writes 0001-01-01 for a result that does not expire."""


def bundle_of(assets: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """(bundle, fallbacks) that hold all of these assets of a PSScene. Raises ProviderRefused when none does."""
    wanted = frozenset(assets)
    holding = sorted((len(keys), names[0]) for keys, names in BUNDLES.items() if wanted <= keys)
    if holding:
        return holding[0][1], ()
    raise ProviderRefused(
        f"no bundle of Planet's holds {', '.join(sorted(wanted))} together; "
        f"choose from one of: {' | '.join(', '.join(sorted(keys)) for keys in BUNDLES)}"
    )


def order_body(name: str, wish: OrderWish, *, webhook_url: str | None) -> dict[str, Any]:
    """The request, built by Planet's own SDK (imported when needed): tools in the order Planet wants them.

    Raises ProviderRefused.
    """
    from planet import order_request as build
    from planet.exceptions import PlanetError

    if not 0 < len(wish.item_ids) <= MAX_ITEMS:
        raise ProviderRefused(f"an order is of 1 to {MAX_ITEMS} items, not of {len(wish.item_ids)}")
    bundle, fallbacks = bundle_of(wish.assets)
    tools = [build.harmonize_tool(wish.harmonise_to)] if wish.harmonise_to else []
    tools += [build.clip_tool(dict(wish.aoi)), build.file_format_tool("COG")]
    try:
        return dict(
            build.build_request(
                name,
                [build.product(list(wish.item_ids), bundle, wish.collection, list(fallbacks) or None)],
                order_type="partial" if len(wish.item_ids) > 1 else None,
                tools=tools,
                notifications=build.notifications(webhook_url=webhook_url, webhook_per_order=True)
                if webhook_url
                else None,
            )
        )
    except PlanetError as error:
        raise ProviderRefused(f"Planet's SDK cannot put this order: {error}") from error


class PlanetOrders:
    """An OrderDesk."""

    def __init__(self, client: PlanetClient) -> None:
        self._client = client

    def place(self, name: str, wish: OrderWish, *, webhook_url: str | None) -> OrderReading:
        """See the port. Raises ProviderRefused with Planet's field messages."""
        body = order_body(name, wish, webhook_url=webhook_url)
        return parse_order(self._client.ask(Operation.CREATE, PATH, method="POST", body=body))

    def named(self, name: str) -> OrderReading | None:
        """See the port."""
        path: str | None = f"{PATH}?{urlencode({'name': name, 'source_type': 'all'})}"
        found: list[OrderReading] = []
        for _ in range(100):
            page = self._client.ask(Operation.LIST, path) if path else {}
            found += [parse_order(one) for one in _orders(page) if one.get("name") == name]
            links = page.get("_links")
            path = links.get("next") if isinstance(links, Mapping) else None
            if not path or found:
                break
        return found[0] if found else None

    def get(self, order_id: str) -> OrderReading | None:
        """See the port."""
        body = self._client.find(Operation.GET, f"{PATH}/{quote(order_id, safe='')}")
        return None if body is None else parse_order(body)


def parse_order(body: Mapping[str, Any]) -> OrderReading:
    """Raises ProviderAnswerInvalid."""
    order_id, state = body.get("id"), body.get("state")
    if not isinstance(order_id, str) or not order_id or state not in _STATUSES:
        raise ProviderAnswerInvalid(f"Planet answered with something that is no order (state {str(state)[:40]!r})")
    links = body.get("_links")
    results = links.get("results") if isinstance(links, Mapping) else None
    products = body.get("products")
    listed = [one for one in products if isinstance(one, Mapping)] if isinstance(products, list) else []
    return OrderReading(
        order_id=order_id,
        name=str(body.get("name") or ""),
        status=_STATUSES[str(state)],
        is_partial=state == "partial",
        message=_message(body),
        item_ids=tuple(str(item) for one in listed for item in one.get("item_ids") or ()),
        results=tuple(_result(one) for one in results or () if isinstance(one, Mapping) and one.get("name")),
    )


def _orders(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    orders = page.get("orders")
    return [one for one in orders if isinstance(one, Mapping)] if isinstance(orders, list) else []


def _message(body: Mapping[str, Any]) -> str:
    """Its last words, without the JSON that Planet wraps some in; then its hints."""
    said = str(body.get("last_message") or "")
    _, brace, rest = said.partition("{")
    if brace:
        try:
            inner = json.loads(brace + rest)
            said = "; ".join(str(one["message"]) for one in inner["general"]) or said
        except (ValueError, KeyError, TypeError):
            pass
    hints = body.get("error_hints")
    words = [said, *(str(one) for one in hints if one)] if isinstance(hints, list) else [said]
    return " ".join("; ".join(word for word in words if word).split())[:500]


def _result(said: Mapping[str, Any]) -> Result:
    location = said.get("location")
    is_there = said.get("delivery") in (None, "success") and isinstance(location, str) and bool(location)
    return Result(
        name=str(said["name"]), url=str(location) if is_there else None, expires_at=_expiry(said.get("expires_at"))
    )


def _expiry(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return None if aware < _NO_EXPIRY else aware
