"""Planet, furnished: one account, its orders, and what the workflow's steps order with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from imagery.errors import SettingsInvalid, StoreUnavailable
from imagery.ports import Clock, OrderStore, TaskTokens, Together
from imagery.providers.planet.client import PlanetClient
from imagery.providers.planet.download import Downloader
from imagery.providers.planet.orders import PlanetOrders
from imagery.providers.planet.search import PlanetSearch
from imagery.service.orders import Budget, Orders
from imagery.settings import Settings
from imagery.workflow.planet import OrderedSource

logger = logging.getLogger(__name__)

PROVIDER = "planet"
WEBHOOK_PATH = "/webhooks/planet"
OFF = "off"

QUICK_S = 5.0
"""Longest that Planet is waited for by somebody who waits for us."""

POLL_S = 15.0
"""Longest that it is waited for by the poll, whose other orders stand in line."""


@dataclass(kw_only=True)
class LateTokens:
    """The task tokens of an orchestrator that is made later, for its own tasks need them."""

    of: TaskTokens | None = None

    def resume(self, task_token: str, output: Mapping[str, Any]) -> None:
        """See the port."""
        self._there().resume(task_token, output)

    def fail(self, task_token: str, *, error: str, cause: str) -> None:
        """See the port."""
        self._there().fail(task_token, error=error, cause=cause)

    def heartbeat(self, task_token: str) -> None:
        """See the port."""
        self._there().heartbeat(task_token)

    def _there(self) -> TaskTokens:
        if self.of is None:
            raise StoreUnavailable("the orchestrator has not started yet; try again")
        return self.of


@dataclass(frozen=True, kw_only=True)
class PlanetAccount:
    """What is known of the account, and done with it."""

    client: PlanetClient
    source: OrderedSource
    tokens: LateTokens = field(repr=False)
    orders: Orders
    """The same that the steps place, for whoever looks at them or is called for one: asked once, and not for long."""

    impatient_search: PlanetSearch
    """For whoever waits for an answer: asked once, and not for long."""


def open_planet(
    settings: Settings,
    closing: ExitStack,
    *,
    store: OrderStore,
    together: Together,
    clock: Clock,
    sleep: Callable[[float], None],
) -> PlanetAccount | None:
    """None without a key. Raises SettingsInvalid for one that cannot be used, or without Planet's SDK."""
    if settings.planet_api_key is None:
        return None
    if find_spec("planet") is None:
        raise SettingsInvalid(
            "Planet's SDK, which words our requests, is not installed; pip install 'imagery[planet]'",
            field="IMAGERY_PLANET_API_KEY",
        )
    client = PlanetClient(
        settings.planet_api_key,
        url=settings.planet_url,
        logins=_logins(settings),
        timeout_s=settings.provider_timeout_s,
        sleep=sleep,
    )
    closing.callback(client.close)
    quick, poll = (_asking_once(settings, client, timeout_s) for timeout_s in (QUICK_S, POLL_S))
    closing.callback(quick.close)
    closing.callback(poll.close)
    tokens = LateTokens()
    orders = Orders(
        provider=PROVIDER,
        store=store,
        desk=PlanetOrders(client, clock=clock),
        tokens=tokens,
        together=together,
        budget=Budget(
            hectares=settings.planet_max_hectares_per_day,
            money=settings.planet_max_cost_per_day,
            price_per_hectare=settings.planet_price_per_hectare,
        ),
        clock=clock,
        webhook_url=webhook_url(settings),
    )
    source = OrderedSource(
        search=PlanetSearch(client),
        orders=orders,
        downloader=Downloader(client=client, read_order=orders.reading_of, clock=clock, wait=sleep),
        folder=settings.data_dir.absolute() / "downloads",
        reorder_finalized=settings.planet_reorder_finalized,
        harmonise_to=None if settings.planet_harmonise.lower() == OFF else settings.planet_harmonise,
    )
    return PlanetAccount(
        client=client,
        source=source,
        tokens=tokens,
        # One order that cannot be read must not hold up the others: it is asked for once, and again later.
        orders=replace(orders, desk=PlanetOrders(poll, clock=clock)),
        impatient_search=PlanetSearch(quick),
    )


def _asking_once(settings: Settings, client: PlanetClient, timeout_s: float) -> PlanetClient:
    """Another client of the same account, which gives up sooner."""
    return PlanetClient(
        settings.planet_api_key or "",
        url=settings.planet_url,
        logins=_logins(settings),
        account=client.account,
        timeout_s=min(timeout_s, settings.provider_timeout_s),
        attempts=1,
    )


def _logins(settings: Settings) -> list[tuple[str, str]]:
    """What Planet is told to call us with."""
    user, password = settings.planet_webhook_user, settings.planet_webhook_password
    return [(user, password)] if user is not None and password is not None else []


def webhook_url(settings: Settings) -> str | None:
    """What Planet calls, without an order's key, with the name and password it is to send. None: it cannot reach us."""
    if settings.public_url is None:
        return None
    parts = urlsplit(settings.public_url)
    user, password = settings.planet_webhook_user, settings.planet_webhook_password
    if user is not None and password is not None:
        host = parts.netloc.rpartition("@")[2]
        parts = parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}")
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + WEBHOOK_PATH, query="", fragment=""))
