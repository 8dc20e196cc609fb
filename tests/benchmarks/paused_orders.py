"""What orders that are waited for cost: memory, a restart, and the way from a webhook to the resumed execution.

    python -m tests.benchmarks.paused_orders --orders 10000 --webhooks 50

The whole service with the workflow it ships, its HTTP door and its polling thread, started in a process of its own on a
folder where so many executions wait; Planet is a stub on loopback that says `running` until an order has ended. Once no
order is due for a look, and once all are, so that the poll is as busy as Planet's three requests a second let it be.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagery.api.app import create_app
from imagery.model.codec import to_dict
from imagery.model.execution import ExecutionStatus
from imagery.model.order import Order, OrderStatus, OrderWish
from imagery.model.request import Request as WorkRequest
from imagery.model.request import RequestKind
from imagery.model.subscription import Priority
from imagery.orchestrators.embedded.definition import load_definition
from imagery.orchestrators.embedded.engine import EmbeddedOrchestrator
from imagery.sandbox.serving import serving
from imagery.settings import Settings
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.orders import SqliteOrderStore
from imagery.wiring import Imagery, build
from imagery.worker import Worker
from imagery.workflow import read_definition

AREA = {"type": "Polygon", "coordinates": [[[15.0, 46.0], [15.01, 46.0], [15.01, 46.01], [15.0, 46.01], [15.0, 46.0]]]}


@dataclass(kw_only=True)
class Planet:
    """Orders that run until they are said to be finished."""

    finished: set[str] = field(default_factory=set)
    reads: int = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/compute/ops/orders/v2/{order_id}", self.read),
                Route("/finish/{order_id}", self.finish, methods=["POST"]),
            ]
        )

    async def read(self, request: Request) -> Response:
        self.reads += 1
        order_id = request.path_params["order_id"]
        state = "failed" if order_id in self.finished else "running"
        return JSONResponse({"id": order_id, "name": "n", "state": state, "products": [], "_links": {}})

    async def finish(self, request: Request) -> Response:
        self.finished.add(request.path_params["order_id"])
        return Response(status_code=204)


def order_id_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def key_of(number: int) -> str:
    return f"{number:043d}"


def settings_of(folder: Path, planet_url: str) -> Settings:
    return Settings(
        data_dir=folder,
        stac_providers={},
        planet_url=planet_url,
        planet_api_key="key-of-the-benchmark",
        public_url="http://127.0.0.1:8080",
    )


def prepare(folder: Path, count: int, *, due_in: timedelta) -> None:
    """Executions of our workflow that wait, each for an order that Planet is at work on."""
    tokens: dict[str, str] = {}

    def ask(payload: dict[str, Any]) -> dict[str, Any]:
        tokens[payload["execution_id"]] = payload["task_token"]
        return {}

    tasks: dict[str, Any] = dict.fromkeys(("PublicProvider", "PlanetProvider", "Register", "sqs:sendMessage"), ask)
    tasks["PlanetRequester"] = ask
    definition = load_definition(read_definition(), resources=tasks)
    engine = EmbeddedOrchestrator(folder / "executions.db", definition, tasks, threads=8)
    for number in range(count):
        engine.start(name_of(number), {"request": to_dict(request_of(number)), "provider_kind": "planet"})
    engine.start_working()
    while len(tokens) < count or engine.running():
        time.sleep(0.05)
    engine.close(5)
    now = datetime.now(UTC)
    with Database(folder / "imagery.db") as database:
        store = SqliteOrderStore(database)
        with database.write():
            for number in range(count):
                store.save(order(number, tokens[name_of(number)], now, look_at=now + due_in))


def name_of(number: int) -> str:
    return f"req_{number:032x}"


def request_of(number: int) -> WorkRequest:
    return WorkRequest(
        id=name_of(number),
        kind=RequestKind.UPDATE,
        priority=Priority.NORMAL,
        provider="planet",
        collection="PSScene",
        subscription_ids=("sub_1",),
        item_ids=(f"item-{number}",),
        created_at=datetime.now(UTC),
    )


def order(number: int, token: str, now: datetime, *, look_at: datetime) -> Order:
    return Order(
        name=name_of(number),
        provider="planet",
        execution_id=name_of(number),
        task_token=token,
        webhook_key=key_of(number),
        order_id=order_id_of(number),
        status=OrderStatus.PENDING,
        wish=OrderWish(
            collection="PSScene",
            item_ids=(f"item-{number}",),
            item_states=("",),
            assets=("ortho_analytic_4b_sr", "ortho_udm2"),
            aoi=AREA,
        ),
        subscription_ids=("sub_1",),
        hectares=85.0,
        tried_at=now,
        placed_at=now,
        look_at=look_at,
        created_at=now,
        updated_at=now,
    )


def serve(folder: Path, planet_url: str, count: int, webhooks: int, answer: Any) -> None:
    """A life of the service: how long it took to start, how much memory it holds, and the webhooks' times."""
    idle_mb = rss_mb()
    begun = time.perf_counter()
    with build(settings_of(folder, planet_url)) as imagery:
        worker = Worker(imagery=imagery)
        worker.start()
        started_s = time.perf_counter() - begun
        waiting = imagery.orchestrator.counts()[ExecutionStatus.RUNNING]
        assert (waiting, imagery.orchestrator.running()) == (count, 0)
        time.sleep(2)
        threads, memory_mb = psutil.Process().num_threads(), rss_mb() - idle_mb
        with serving(create_app(imagery)) as url, httpx.Client(trust_env=False) as client:
            step = count // webhooks
            waits = sorted(hear(imagery, client, url, planet_url, number * step) for number in range(webhooks))
        worker.stop(drain=timedelta(seconds=1))
    answer.send([started_s, memory_mb, threads, waits])


def hear(imagery: Imagery, client: httpx.Client, url: str, planet_url: str, number: int) -> float:
    """Milliseconds from the webhook's first byte until the execution has gone on."""
    order_id = order_id_of(number)
    client.post(f"{planet_url}/finish/{order_id}")
    time.sleep(0.4)  # Planet takes three reads a second
    begun = time.perf_counter()
    taken = client.post(f"{url}/webhooks/planet/{key_of(number)}", json={"order_id": order_id, "state": "failed"})
    assert taken.status_code == 204
    while imagery.orchestrator.get(name_of(number)).state == "PlanetRequester":
        time.sleep(0.0005)
    return 1000 * (time.perf_counter() - begun)


def rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def measure(count: int, webhooks: int, *, due_in: timedelta) -> list[Any]:
    """What a life tells, with orders that are due so soon."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name, serving(Planet().app()) as planet_url:
        folder = Path(name)
        prepare(folder, count, due_in=due_in)
        ours, theirs = context.Pipe()
        life = context.Process(target=serve, args=(folder, planet_url, count, webhooks, theirs))
        life.start()
        theirs.close()
        told: list[Any] = ours.recv()
        life.join()
    return told


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--webhooks", type=int, default=50)
    given = parser.parse_args()
    table = Table("measure", "none is due", "all are due", title=f"{given.orders} paused orders")
    lives = [
        measure(given.orders, given.webhooks, due_in=due_in) for due_in in (timedelta(hours=1), timedelta(seconds=-1))
    ]
    table.add_row("restart: open, take up all of them, start working", *(f"{life[0] * 1000:.0f} ms" for life in lives))
    table.add_row("memory above an idle interpreter with the same imports", *(f"{life[1]:.0f} MB" for life in lives))
    table.add_row("threads", *(str(life[2]) for life in lives))
    for share in (0.5, 0.95):
        figures = (life[3][int(share * (len(life[3]) - 1))] for life in lives)
        table.add_row(f"webhook → resumed execution, p{share:.0%}".rstrip("%"), *(f"{one:.1f} ms" for one in figures))
    Console().print(table)


if __name__ == "__main__":
    main()
