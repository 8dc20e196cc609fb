"""Every back end is chosen here, once. Above this nobody names one; below it nobody asks which one they got."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from starlette.requests import Request as HttpRequest

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.app import create_app as create_stac_app
from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.checkers.delete import DeleteChecker
from imagery.checkers.expiry import Expiry
from imagery.checkers.feed import FeedReader
from imagery.checkers.reconcile import Reconciler
from imagery.checkers.removal import Removal
from imagery.checkers.update import UpdateChecker
from imagery.errors import SettingsInvalid
from imagery.model.access import Caller
from imagery.notifiers.addresses import AddressPolicy
from imagery.notifiers.webhook import WebhookNotifier
from imagery.objects import open_objects
from imagery.orchestrators.embedded.definition import load_definition
from imagery.orchestrators.embedded.engine import EmbeddedOrchestrator
from imagery.ports import (
    Catalog,
    Clock,
    DeletionStore,
    Engine,
    FeedStore,
    Notifier,
    ObjectStore,
    Orchestrator,
    OrderStore,
    Outbox,
    ProcessingQueue,
    ProductStore,
    Provider,
)
from imagery.providers.earth_search import EarthSearch
from imagery.providers.sns import Verifier, fetch_over
from imagery.providers.stac_items import discover_extensions
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.service.admission import Admission
from imagery.service.arrivals import Arrivals
from imagery.service.collections import CollectionDirectory
from imagery.service.days import Days
from imagery.service.deliverer import Deliverer
from imagery.service.discovery import Asker
from imagery.service.dispatch import Dispatcher
from imagery.service.failures import Failures
from imagery.service.feeds import FeedHealth, feeds_health
from imagery.service.joining import Joiner
from imagery.service.keys import Keys
from imagery.service.looks import Lookback, Looker, Progress
from imagery.service.notifications import Notifications
from imagery.service.push import Push
from imagery.service.subscriptions import Limits, Subscriptions
from imagery.service.verifying import Verification
from imagery.service.webhooks import Webhooks
from imagery.settings import Settings
from imagery.stores.sqlite.control import SqliteControlStore, SqliteUsageStore
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.deletions import SqliteDeletionStore
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.failures import SqliteFailureStore
from imagery.stores.sqlite.feeds import SqliteFeedStore
from imagery.stores.sqlite.keys import SqliteKeyStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.looks import SqliteLookStore
from imagery.stores.sqlite.orders import SqliteOrderStore
from imagery.stores.sqlite.outbox import SqliteOutbox
from imagery.stores.sqlite.products import SqliteProductStore
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from imagery.wiring_planet import PROVIDER, PlanetAccount, open_planet
from imagery.workflow import read_definition
from imagery.workflow.steps import Neighbours, steps

VISIBILITY = timedelta(seconds=10)
"""Here a dispatcher holds a request only for as long as starting an execution takes; one that was killed in between
must not keep it for the minute that a queue across machines needs."""

CallerOf = Callable[[HttpRequest], Caller | None]
"""Who is behind an HTTP request; None: nobody who gave a key."""

Sleep = Callable[[float], None]
"""Wait so many seconds."""


@dataclass(frozen=True, kw_only=True)
class Imagery:
    """The house, furnished: what the doors work with. A context manager; leaving it closes every file."""

    settings: Settings
    clock: Clock
    keys: Keys
    subscriptions: Subscriptions
    failures: Failures
    providers: Mapping[str, Provider]
    queue: ProcessingQueue
    orchestrator: Orchestrator
    engine: Engine
    objects: ObjectStore
    catalog: Catalog
    dispatcher: Dispatcher
    update_checker: UpdateChecker
    reconciler: Reconciler
    days: Days
    feeds: FeedStore
    arrivals: Arrivals
    push: Push
    delete_checker: DeleteChecker
    verification: Verification
    notifications: Notifications
    deliverer: Deliverer
    deletions: DeletionStore
    products: ProductStore
    orders: OrderStore
    planet: PlanetAccount | None
    """None: no key for it."""

    admission: Admission
    feeds_health: Callable[[], tuple[FeedHealth, ...]]
    """How the feed of each active subscription stands now."""

    stac_app: Callable[[CallerOf], Any]
    """Makes the STAC API as an ASGI app, given how to tell who is calling."""

    _closing: ExitStack = field(repr=False)

    def __enter__(self) -> Imagery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every file and connection. Safe to repeat."""
        self._closing.close()


def now_utc() -> datetime:
    """The clock of the real world."""
    return datetime.now(UTC)


def build(
    settings: Settings, *, clock: Clock = now_utc, sleep: Sleep = time.sleep, workflow: str | None = None
) -> Imagery:
    """One machine: SQLite for all that is remembered, obstore for the bytes, the embedded orchestrator.

    `sleep` is how providers are waited for between two tries; `workflow` a States Language document to run instead of
    ours. Raises SettingsInvalid when something set cannot be used.
    """
    discover_extensions()
    with ExitStack() as closing:
        data_dir = _made(settings.data_dir.absolute())
        database = closing.enter_context(Database(data_dir / "imagery.db"))
        items = CatalogStore(data_dir / "catalog.db")
        closing.callback(items.close)
        orders = SqliteOrderStore(database)
        planet = open_planet(settings, closing, store=orders, together=database.write, clock=clock, sleep=sleep)
        providers = _providers(settings, closing, sleep)
        neighbours = _neighbours(settings, database, items, providers, planet=planet, clock=clock)
        outbox, notifier, feeds = SqliteOutbox(database), _notifier(settings), SqliteFeedStore(database)
        lookback = _lookback(settings, neighbours, feeds)
        orchestrator = _orchestrator(data_dir, neighbours, settings, workflow or read_definition())
        admission = _admission(settings, database, clock)
        if planet is not None:
            planet.tokens.of = orchestrator
        closing.callback(orchestrator.close, 0.0)
        deletions, products = SqliteDeletionStore(database), SqliteProductStore(database)
        impatient = _impatient(settings, closing, planet)
        subscriptions = _subscriptions(
            settings, neighbours, impatient, outbox=outbox, notifier=notifier, lookback=lookback
        )
        arrivals = Arrivals(joiner=_joiner(settings, neighbours), asker=neighbours.looker.asker)
        return Imagery(
            settings=settings,
            clock=clock,
            keys=Keys(store=SqliteKeyStore(database), clock=clock),
            subscriptions=subscriptions,
            days=Days(subscriptions=subscriptions, late_arrivals=settings.late_arrivals, clock=clock),
            failures=Failures(
                store=neighbours.failures,
                ledger=neighbours.ledger,
                queue=neighbours.queue,
                orchestrator=orchestrator,
                together=database.write,
                clock=clock,
            ),
            providers=neighbours.providers,
            queue=neighbours.queue,
            orchestrator=orchestrator,
            engine=orchestrator,
            objects=neighbours.objects,
            catalog=neighbours.catalog,
            dispatcher=_dispatcher(settings, neighbours, orchestrator, admission),
            admission=admission,
            feeds_health=lambda: feeds_health(feeds, neighbours.subscriptions, now=clock()),
            update_checker=_update_checker(settings, neighbours, feeds),
            reconciler=_reconciler(settings, neighbours, orchestrator, lookback),
            feeds=feeds,
            arrivals=arrivals,
            push=_push(settings, neighbours, impatient, arrivals, closing.enter_context(httpx.Client())),
            delete_checker=_delete_checker(settings, neighbours, deletions, products, lookback.progress),
            deletions=deletions,
            products=products,
            orders=orders,
            planet=planet,
            verification=Verification(
                ledger=neighbours.ledger,
                products=products,
                catalog=neighbours.catalog,
                objects=neighbours.objects,
            ),
            notifications=Notifications(
                events=neighbours.events, outbox=outbox, subscriptions=neighbours.subscriptions, clock=clock
            ),
            deliverer=_deliverer(settings, neighbours, outbox, notifier),
            stac_app=lambda caller_of: create_stac_app(
                items, title="Imagery", access=Access(caller_of=caller_of, public=settings.public_catalog)
            ),
            _closing=closing.pop_all(),
        )


def _made(data_dir: Path) -> Path:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid(
            f"{data_dir} cannot be the data directory ({error.strerror}); choose another",
            field="IMAGERY_DATA_DIR",
        ) from error
    return data_dir


def _neighbours(
    settings: Settings,
    database: Database,
    items: CatalogStore,
    providers: Mapping[str, Provider],
    *,
    planet: PlanetAccount | None,
    clock: Clock,
) -> Neighbours:
    subscriptions, ledger = SqliteSubscriptionStore(database), SqliteLedger(database)
    queue = SqliteProcessingQueue(database, clock=clock, visibility=VISIBILITY)
    asker = Asker(ledger=ledger, queue=queue, together=database.write, per_request=settings.subscriptions_per_request)
    return Neighbours(
        providers={**providers, **({PROVIDER: planet.source.search} if planet is not None else {})},
        planet=planet.source if planet is not None else None,
        subscriptions=subscriptions,
        ledger=ledger,
        products=SqliteProductStore(database),
        failures=SqliteFailureStore(database),
        events=SqliteEventStore(database),
        together=database.write,
        queue=queue,
        looker=Looker(
            asker=asker,
            looks=SqliteLookStore(database),
            subscriptions=subscriptions,
            together=database.write,
            overlap=settings.feed_overlap,
        ),
        objects=open_objects(settings.objects_url or (settings.data_dir.absolute() / "objects").as_uri()),
        catalog=SqliteCatalog(items),
        clock=clock,
        max_clip_pixels=settings.max_clip_pixels,
        superseded_retention=settings.superseded_retention,
        usage=SqliteUsageStore(database),
    )


def _admission(settings: Settings, database: Database, clock: Clock) -> Admission:
    return Admission(
        controls=SqliteControlStore(database),
        usage=SqliteUsageStore(database),
        clock=clock,
        executions_per_minute=settings.max_executions_per_minute,
        bytes_per_day=settings.max_bytes_per_day,
    )


def _subscriptions(
    settings: Settings,
    neighbours: Neighbours,
    providers: Mapping[str, Provider],
    *,
    outbox: Outbox,
    notifier: Notifier,
    lookback: Lookback,
) -> Subscriptions:
    return Subscriptions(
        store=neighbours.subscriptions,
        ledger=neighbours.ledger,
        queue=neighbours.queue,
        collections=CollectionDirectory(providers=providers, clock=neighbours.clock),
        webhooks=Webhooks(notifier=notifier, clock=neighbours.clock),
        events=neighbours.events,
        outbox=outbox,
        together=neighbours.together,
        lookback=lookback,
        limits=Limits(
            max_aoi_km2=settings.max_aoi_km2,
            max_aoi_vertices=settings.max_aoi_vertices,
            retention=settings.retention,
            max_per_owner=settings.max_subscriptions_per_owner,
            max_clip_pixels=settings.max_clip_pixels,
        ),
        clock=neighbours.clock,
    )


def _dispatcher(
    settings: Settings, neighbours: Neighbours, orchestrator: Orchestrator, admission: Admission
) -> Dispatcher:
    return Dispatcher(
        admission=admission,
        queue=neighbours.queue,
        orchestrator=orchestrator,
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        failures=neighbours.failures,
        events=neighbours.events,
        clock=neighbours.clock,
        limit=settings.concurrency,
        # Without a key what waits for it fails with the word for it, and can be replayed.
        provider_kinds={PROVIDER: "planet", **dict.fromkeys(settings.stac_providers, "public")},
    )


def _notifier(settings: Settings) -> WebhookNotifier:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return WebhookNotifier(
        policy=AddressPolicy(allow_http=settings.webhook_allow_http, allow_private=settings.webhook_allow_private),
        base_url=(settings.public_url or f"http://{host}:{settings.port}").rstrip("/"),
    )


def _deliverer(settings: Settings, neighbours: Neighbours, outbox: Outbox, notifier: Notifier) -> Deliverer:
    return Deliverer(
        outbox=outbox,
        events=neighbours.events,
        subscriptions=neighbours.subscriptions,
        notifier=notifier,
        together=neighbours.together,
        clock=neighbours.clock,
        retention=settings.event_retention,
    )


def _lookback(settings: Settings, neighbours: Neighbours, feeds: FeedStore) -> Lookback:
    return Lookback(
        subscriptions=neighbours.subscriptions,
        looks=neighbours.looker.looks,
        queue=neighbours.queue,
        progress=Progress(feeds=feeds, looks=neighbours.looker.looks),
        longest=settings.look_window,
    )


def _joiner(settings: Settings, neighbours: Neighbours) -> Joiner:
    return Joiner(subscriptions=neighbours.subscriptions, late_arrivals=settings.late_arrivals)


def _update_checker(settings: Settings, neighbours: Neighbours, feeds: FeedStore) -> UpdateChecker:
    looker, joiner = neighbours.looker, _joiner(settings, neighbours)
    reader = FeedReader(
        subscriptions=neighbours.subscriptions,
        feeds=feeds,
        joiner=joiner,
        asker=looker.asker,
        overlap=settings.feed_overlap,
        first_reach=settings.reconcile_window,
    )
    return UpdateChecker(
        subscriptions=neighbours.subscriptions,
        providers=neighbours.providers,
        looks=looker.looks,
        looker=looker,
        reader=reader,
        joiner=joiner,
        asker=looker.asker,
        overlap=settings.feed_overlap,
        late_arrivals=settings.late_arrivals,
    )


def _reconciler(
    settings: Settings, neighbours: Neighbours, orchestrator: Orchestrator, lookback: Lookback
) -> Reconciler:
    return Reconciler(
        subscriptions=neighbours.subscriptions,
        providers=neighbours.providers,
        looks=neighbours.looker.looks,
        looker=neighbours.looker,
        lookback=lookback,
        joiner=_joiner(settings, neighbours),
        asker=neighbours.looker.asker,
        queue=neighbours.queue,
        orchestrator=orchestrator,
        window=settings.reconcile_window,
    )


def _push(
    settings: Settings,
    neighbours: Neighbours,
    providers: Mapping[str, Provider],
    arrivals: Arrivals,
    client: httpx.Client,
) -> Push:
    return Push(
        providers=providers,
        topics=settings.sns_topics,
        subscriptions=neighbours.subscriptions,
        verifier=Verifier(fetch=fetch_over(client), clock=neighbours.clock),
        take=arrivals.take,
        clock=neighbours.clock,
    )


def _delete_checker(
    settings: Settings,
    neighbours: Neighbours,
    deletions: DeletionStore,
    products: ProductStore,
    progress: Progress,
) -> DeleteChecker:
    removal = Removal(
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        failures=neighbours.failures,
        deletions=deletions,
        products=products,
        objects=neighbours.objects,
        catalog=neighbours.catalog,
        together=neighbours.together,
        belongings=(),  # whatever else belongs to a subscription is forgotten here
    )
    return DeleteChecker(
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        progress=progress,
        events=neighbours.events,
        removal=removal,
        expiry=Expiry(products=products, objects=neighbours.objects, catalog=neighbours.catalog),
        retention=settings.retention,
        late_arrivals=settings.late_arrivals,
    )


def _orchestrator(data_dir: Path, neighbours: Neighbours, settings: Settings, workflow: str) -> EmbeddedOrchestrator:
    tasks = steps(neighbours)
    return EmbeddedOrchestrator(
        data_dir / "executions.db",
        load_definition(workflow, resources=tasks),
        tasks,
        threads=settings.concurrency,
        clock=neighbours.clock,
    )


def _providers(settings: Settings, closing: ExitStack, sleep: Sleep) -> dict[str, Provider]:
    return {
        name: closing.enter_context(EarthSearch(name, url, timeout_s=settings.provider_timeout_s, sleep=sleep))
        for name, url in settings.stac_providers.items()
    }


def _impatient(settings: Settings, closing: ExitStack, planet: PlanetAccount | None) -> dict[str, Provider]:
    """The same providers for questions a caller waits for: asked once, and not for long."""
    planets: dict[str, Provider] = {PROVIDER: planet.impatient_search} if planet is not None else {}
    return planets | {
        name: closing.enter_context(EarthSearch(name, url, timeout_s=min(5.0, settings.provider_timeout_s), attempts=1))
        for name, url in settings.stac_providers.items()
    }
