"""Planet's Orders API: one order placed under a name of ours, found by that name, and read until it is final."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from imagery.errors import ProviderAnswerInvalid, ProviderRefused, ProviderUnavailable
from imagery.model.order import OrderReading, OrderStatus, OrderWish, Result
from imagery.ports import Clock
from imagery.providers.planet.bundles import products_of
from imagery.providers.planet.client import PlanetClient
from imagery.providers.planet.pace import Operation
from imagery.providers.planet.secrets import clean, without_secrets
from imagery.providers.planet.words import last_words_of, shortened

logger = logging.getLogger(__name__)

PATH = "/compute/ops/orders/v2"
MAX_ITEMS = 500
"""Of one order (docs.planet.com, Orders API limits)."""

MAX_PAGES = 100
"""Of a list that is asked for one name, and should be one page."""

LOOKED_BACK = timedelta(days=60)
"""How old an order may be that is looked for by its name: longer than this service is ever out of order."""

_STATUSES: Mapping[str, OrderStatus] = {
    "queued": OrderStatus.ORDERED,
    "running": OrderStatus.PENDING,
    "success": OrderStatus.SUCCEEDED,
    "partial": OrderStatus.SUCCEEDED,
    "failed": OrderStatus.FAILED,
    "cancelled": OrderStatus.CANCELED,
}

_WORDS = ("state", "last_message", "error_hints")
"""What of an order reaches errors and logs."""

_NO_EXPIRY = datetime(1, 1, 2, tzinfo=UTC)
"""Planet writes 0001-01-01 for a result that does not expire."""


def order_body(name: str, wish: OrderWish, *, webhook_url: str | None) -> dict[str, Any]:
    """The request, built by Planet's own SDK (imported when needed): tools in the order Planet wants them.

    Raises ProviderRefused.
    """
    from planet import order_request as build
    from planet.exceptions import PlanetError
    from planet.specs import SpecificationException

    if not 0 < len(wish.item_ids) <= MAX_ITEMS:
        raise ProviderRefused(f"an order is of 1 to {MAX_ITEMS} items, not of {len(wish.item_ids)}")
    # Not the SDK's `product`: it fetches the list of bundles from api.planet.com, wherever our Planet is.
    products = [
        {"item_ids": list(wish.item_ids), "item_type": wish.collection, "product_bundle": ",".join(bundles)}
        for bundles in products_of(wish.collection, wish.assets)
    ]
    webhook = build.notifications(webhook_url=webhook_url, webhook_per_order=True) if webhook_url else None
    try:
        tools = [build.harmonize_tool(wish.harmonise_to)] if wish.harmonise_to else []
        tools += [build.clip_tool(dict(wish.aoi)), build.file_format_tool("COG")]
        order_type = "partial" if len(wish.item_ids) > 1 else "full"
        request = build.build_request(name, products, order_type=order_type, tools=tools, notifications=webhook)
    except (PlanetError, SpecificationException, KeyError, TypeError, ValueError) as error:
        raise ProviderRefused(f"Planet's SDK cannot put this order: {shortened(without_secrets(str(error)))}") from None
    return {**request, "source_type": "scenes"}


class PlanetOrders:
    """An OrderDesk."""

    def __init__(self, client: PlanetClient, *, clock: Clock | None = None) -> None:
        """Without a clock orders of any age are looked for by their name."""
        self._client = client
        self._clock = clock

    def place(self, name: str, wish: OrderWish, *, webhook_url: str | None) -> OrderReading:
        """See the port. Raises ProviderRefused with Planet's field messages."""
        body = order_body(name, wish, webhook_url=webhook_url)
        try:
            answer = self._client.ask(Operation.CREATE, PATH, method="POST", body=body, repeatable=False)
            return self._reading(answer)
        except ProviderAnswerInvalid as error:
            raise ProviderUnavailable(f"{error}; the order may have been placed, and is looked for") from error

    def named(self, name: str) -> OrderReading | None:
        """See the port. Raises ProviderUnavailable when the list has no end: then nobody knows yet."""
        query = {"name": name, "source_type": "all", "sort_by": "created_on DESC"} | self._lately()
        path, seen = f"{PATH}?{urlencode(query)}", set[str]()
        while path not in seen and len(seen) < MAX_PAGES:
            seen.add(path)
            page = self._client.ask(Operation.LIST, path)
            # Planet matches names in part, or not at all when it does not know the filter.
            found = [one for one in _orders(page) if one.get("name") == name]
            if found:
                return self._reading(max(found, key=lambda one: str(one.get("created_on") or "")))
            links = page.get("_links")
            following = links.get("next") if isinstance(links, Mapping) else None
            if not following:
                return None
            path = str(following)
        raise ProviderUnavailable(
            f"{self._client.name} lists orders in a circle, or without an end; whether {name} is there is not known"
        )

    def get(self, order_id: str) -> OrderReading | None:
        """See the port."""
        body = self._client.find(Operation.GET, f"{PATH}/{quote(order_id, safe='')}")
        return None if body is None else self._reading(body)

    def _lately(self) -> dict[str, str]:
        """An account may hold many thousand orders, should the name be no filter to Planet."""
        if self._clock is None:
            return {}
        since = (self._clock() - LOOKED_BACK).astimezone(UTC)
        return {"created_on": f"{since:%Y-%m-%dT%H:%M:%SZ}/.."}

    def _reading(self, body: Mapping[str, Any]) -> OrderReading:
        return parse_order({**body, **{name: clean(body.get(name), self._client.redact) for name in _WORDS}})


def parse_order(body: Mapping[str, Any]) -> OrderReading:
    """Raises ProviderAnswerInvalid."""
    order_id, state = body.get("id"), body.get("state")
    if not isinstance(order_id, str) or not order_id or not isinstance(state, str):
        raise ProviderAnswerInvalid(f"Planet answered with something that is no order (state {str(state)[:40]!r})")
    if state not in _STATUSES:
        logger.warning("an order is in a state we do not know", extra={"order_id": order_id, "state": state[:40]})
    return OrderReading(
        order_id=order_id,
        name=str(body.get("name") or ""),
        # What we do not know is not final: it is looked at again.
        status=_STATUSES.get(state, OrderStatus.PENDING),
        is_partial=state == "partial",
        message=last_words_of(body),
        item_ids=tuple(dict.fromkeys(_items(body))),
        results=tuple(_result(one) for one in _objects(_results(body)) if one.get("name")),
    )


def _items(body: Mapping[str, Any]) -> Iterator[str]:
    for product in _objects(body.get("products")):
        listed = product.get("item_ids")
        yield from map(str, listed) if isinstance(listed, list) else ()


def _orders(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Raises ProviderAnswerInvalid: an order overlooked would be bought twice."""
    if not isinstance(page.get("orders"), list):
        raise ProviderAnswerInvalid("Planet answered with something that is no list of orders")
    return _objects(page["orders"])


def _results(body: Mapping[str, Any]) -> object:
    links = body.get("_links")
    return links.get("results") if isinstance(links, Mapping) else None


def _objects(listed: object) -> list[Mapping[str, Any]]:
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def _result(said: Mapping[str, Any]) -> Result:
    location, delivery = said.get("location"), said.get("delivery")
    is_there = delivery in (None, "success") and isinstance(location, str) and is_link(location)
    return Result(
        name=str(said["name"]),
        url=str(location) if is_there else None,
        expires_at=_expiry(said.get("expires_at")),
        is_pending=delivery not in (None, "success", "failed"),
    )


def is_link(text: str) -> bool:
    """Whether it can be fetched over HTTP."""
    return text.startswith(("https://", "http://"))


def _expiry(text: object) -> datetime | None:
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return None if aware < _NO_EXPIRY else aware
