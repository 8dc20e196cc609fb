"""Every back end is chosen here, once. Above this nobody names one; below it nobody asks which one they got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from starlette.requests import Request as HttpRequest

from imagery.catalogs.sqlite.api.access import Access
from imagery.catalogs.sqlite.app import create_app as create_stac_app
from imagery.catalogs.sqlite.catalog import SqliteCatalog
from imagery.catalogs.sqlite.store import CatalogStore
from imagery.checkers.delete import DeleteChecker
from imagery.checkers.update import UpdateChecker
from imagery.errors import SettingsInvalid
from imagery.model.access import Caller
from imagery.objects import open_objects
from imagery.orchestrators.embedded.definition import load_definition
from imagery.orchestrators.embedded.engine import EmbeddedOrchestrator
from imagery.ports import Catalog, Clock, Engine, ObjectStore, Orchestrator, ProcessingQueue, Provider
from imagery.providers.earth_search import EarthSearch
from imagery.queues.sqlite import SqliteProcessingQueue
from imagery.service.collections import CollectionDirectory
from imagery.service.dispatch import Dispatcher
from imagery.service.failures import Failures
from imagery.service.keys import Keys
from imagery.service.subscriptions import Limits, Subscriptions
from imagery.settings import Settings
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.failures import SqliteFailureStore
from imagery.stores.sqlite.keys import SqliteKeyStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from imagery.workflow import read_definition
from imagery.workflow.steps import Neighbours, steps

VISIBILITY = timedelta(seconds=10)
"""Here a dispatcher holds a request only for as long as starting an execution takes; one that was killed in between
must not keep it for the minute that a queue across machines needs."""

CallerOf = Callable[[HttpRequest], Caller | None]
"""Who is behind an HTTP request; None: nobody who gave a key."""


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
    delete_checker: DeleteChecker
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


def build(settings: Settings, *, clock: Clock = now_utc) -> Imagery:
    """One machine: SQLite for all that is remembered, obstore for the bytes, the embedded orchestrator.

    Raises SettingsInvalid when something set cannot be used.
    """
    with ExitStack() as closing:
        data_dir = _made(settings.data_dir.absolute())
        database = closing.enter_context(Database(data_dir / "imagery.db"))
        items = CatalogStore(data_dir / "catalog.db")
        closing.callback(items.close)
        neighbours = _neighbours(settings, database, items, _providers(settings, closing), clock)
        orchestrator = _orchestrator(data_dir, neighbours, settings)
        closing.callback(orchestrator.close, 0.0)
        return Imagery(
            settings=settings,
            clock=clock,
            keys=Keys(store=SqliteKeyStore(database), clock=clock),
            subscriptions=_subscriptions(settings, neighbours, _impatient(settings, closing)),
            failures=Failures(store=neighbours.failures),
            providers=neighbours.providers,
            queue=neighbours.queue,
            orchestrator=orchestrator,
            engine=orchestrator,
            objects=neighbours.objects,
            catalog=neighbours.catalog,
            dispatcher=_dispatcher(settings, neighbours, orchestrator),
            update_checker=_update_checker(settings, neighbours),
            delete_checker=_delete_checker(settings, neighbours),
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
    settings: Settings, database: Database, items: CatalogStore, providers: Mapping[str, Provider], clock: Clock
) -> Neighbours:
    return Neighbours(
        providers=providers,
        subscriptions=SqliteSubscriptionStore(database),
        ledger=SqliteLedger(database),
        failures=SqliteFailureStore(database),
        queue=SqliteProcessingQueue(database, clock=clock, visibility=VISIBILITY),
        objects=open_objects(settings.objects_url or (settings.data_dir.absolute() / "objects").as_uri()),
        catalog=SqliteCatalog(items),
        clock=clock,
        max_clip_pixels=settings.max_clip_pixels,
    )


def _subscriptions(settings: Settings, neighbours: Neighbours, providers: Mapping[str, Provider]) -> Subscriptions:
    return Subscriptions(
        store=neighbours.subscriptions,
        ledger=neighbours.ledger,
        queue=neighbours.queue,
        collections=CollectionDirectory(providers=providers, clock=neighbours.clock),
        limits=Limits(
            max_aoi_km2=settings.max_aoi_km2,
            max_aoi_vertices=settings.max_aoi_vertices,
            retention=settings.retention,
        ),
        clock=neighbours.clock,
    )


def _dispatcher(settings: Settings, neighbours: Neighbours, orchestrator: Orchestrator) -> Dispatcher:
    return Dispatcher(
        queue=neighbours.queue,
        orchestrator=orchestrator,
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        failures=neighbours.failures,
        clock=neighbours.clock,
        limit=settings.concurrency,
        provider_kinds=dict.fromkeys(neighbours.providers, "public"),
    )


def _update_checker(settings: Settings, neighbours: Neighbours) -> UpdateChecker:
    return UpdateChecker(
        subscriptions=neighbours.subscriptions,
        providers=neighbours.providers,
        ledger=neighbours.ledger,
        queue=neighbours.queue,
        late_arrivals=settings.late_arrivals,
    )


def _delete_checker(settings: Settings, neighbours: Neighbours) -> DeleteChecker:
    return DeleteChecker(
        subscriptions=neighbours.subscriptions,
        ledger=neighbours.ledger,
        failures=neighbours.failures,
        objects=neighbours.objects,
        catalog=neighbours.catalog,
        retention=settings.retention,
        late_arrivals=settings.late_arrivals,
    )


def _orchestrator(data_dir: Path, neighbours: Neighbours, settings: Settings) -> EmbeddedOrchestrator:
    tasks = steps(neighbours)
    return EmbeddedOrchestrator(
        data_dir / "executions.db",
        load_definition(read_definition(), resources=tasks),
        tasks,
        threads=settings.concurrency,
        clock=neighbours.clock,
    )


def _providers(settings: Settings, closing: ExitStack) -> dict[str, Provider]:
    return {
        name: closing.enter_context(EarthSearch(name, url, timeout_s=settings.provider_timeout_s))
        for name, url in settings.stac_providers.items()
    }


def _impatient(settings: Settings, closing: ExitStack) -> dict[str, Provider]:
    """The same providers for questions a caller waits for: asked once, and not for long."""
    return {
        name: closing.enter_context(EarthSearch(name, url, timeout_s=min(5.0, settings.provider_timeout_s), attempts=1))
        for name, url in settings.stac_providers.items()
    }
