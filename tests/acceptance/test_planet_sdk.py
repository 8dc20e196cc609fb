"""Planet's own SDK and command line as clients of the sandbox: what works there should work with Planet, and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from click.testing import CliRunner, Result
from planet import Auth, DataClient, OrdersClient, Session, data_filter, order_request, specs
from planet.cli.cli import main as planet_command
from planet.exceptions import BadQuery, Conflict, InvalidAPIKey, MissingResource

from imagery.sandbox.planet.app import create_planet_app
from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from imagery.sandbox.planet.opening import LocalPlanet, open_planet
from imagery.sandbox.serving import serving

KEY = "a-key-of-the-sandbox"
T = TypeVar("T")


@pytest.fixture(scope="module")
def planet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlanet]:
    behaviour = Behaviour(queued_s=0.2, running_s=0.3, rate_scale=0)
    with open_planet(tmp_path_factory.mktemp("planet"), api_key=KEY, behaviour=behaviour) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(planet: LocalPlanet) -> Iterator[str]:
    with serving(create_planet_app(planet)) as served:
        yield served


@pytest.fixture(autouse=True)
def bundles(url: str) -> Iterator[None]:
    """The SDK reads bundles from one fixed address; what it would keep of the answer is kept for it."""
    read = httpx.get(f"{url}/compute/ops/bundles/spec", trust_env=False).json()["bundles"]
    item_types = {item_type for bundle in read.values() for item_type in bundle["assets"]}
    specs.PRODUCT_BUNDLES.cache = {"bundles": read, "bundle_names": read.keys(), "item_types": item_types}
    yield
    del specs.PRODUCT_BUNDLES.cache


def _with_clients(url: str, work: Callable[[DataClient, OrdersClient], Coroutine[Any, Any, T]], key: str = KEY) -> T:
    async def run() -> T:
        async with Session(auth=Auth.from_key(key)) as session:
            return await work(DataClient(session, f"{url}/data/v1"), OrdersClient(session, f"{url}/compute/ops"))

    return asyncio.run(run())


def _found(planet: LocalPlanet, url: str, *, limit: int = 0) -> list[dict[str, Any]]:
    filters = data_filter.and_filter(
        [
            data_filter.geometry_filter(planet.account.catalogue.aoi),
            data_filter.range_filter("clear_percent", gte=90),
            data_filter.asset_filter(["ortho_analytic_4b_sr"]),
            data_filter.permission_filter(),
            data_filter.std_quality_filter(),
        ]
    )

    async def search(data: DataClient, _orders: OrdersClient) -> list[dict[str, Any]]:
        return [item async for item in data.search(["PSScene"], filters, sort="acquired asc", limit=limit)]

    return _with_clients(url, search)


def _request(planet: LocalPlanet, name: str, ids: list[str]) -> dict[str, Any]:
    return order_request.build_request(
        name,
        [order_request.product(ids, "analytic_sr_udm2", "PSScene", "analytic_udm2")],
        tools=[
            order_request.harmonize_tool("Sentinel-2"),
            order_request.clip_tool(planet.account.catalogue.aoi),
            order_request.file_format_tool("COG"),
        ],
    )


def test_a_search_finds_clear_scenes_over_the_aoi(planet: LocalPlanet, url: str) -> None:
    items = _found(planet, url)

    assert len(items) >= 4
    assert [item["properties"]["acquired"] for item in items] == sorted(i["properties"]["acquired"] for i in items)
    assert all(item["properties"]["clear_percent"] >= 90 for item in items)
    assert len(_found(planet, url, limit=3)) == 3


def test_an_order_is_created_waited_for_downloaded_and_checked(planet: LocalPlanet, url: str, tmp_path: Path) -> None:
    ids = [item["id"] for item in _found(planet, url)[:2]]
    seen: list[str] = []

    async def order(_data: DataClient, orders: OrdersClient) -> tuple[dict[str, Any], str, list[Path]]:
        created = await orders.create_order(_request(planet, "whole life", ids))
        state = await orders.wait(created["id"], delay=0, max_attempts=0, callback=seen.append)
        return created, state, await orders.download_order(created["id"], directory=tmp_path)

    created, state, paths = _with_clients(url, order)
    OrdersClient.validate_checksum(tmp_path / created["id"], "MD5")
    OrdersClient.validate_checksum(tmp_path / created["id"], "sha256")

    assert (created["state"], created["last_message"], state) == ("queued", "Preparing order", "success")
    assert {"queued", "running", "success"} == set(seen)
    assert len(paths) == 2 * 4 + 1
    assert (tmp_path / created["id"] / "PSScene" / f"{ids[0]}_3B_udm2_clip_file_format.tif").is_file()


def test_orders_are_listed_by_name_over_several_pages(planet: LocalPlanet, url: str) -> None:
    item_id = _found(planet, url, limit=1)[0]["id"]

    async def listed(_data: DataClient, orders: OrdersClient) -> tuple[list[str], list[str]]:
        for number in range(23):
            await orders.create_order(_request(planet, f"of many {number}", [item_id]))
        many = [order["name"] async for order in orders.list_orders(name__contains="of many", limit=0)]
        one = [order["name"] async for order in orders.list_orders(name="of many 7")]
        return many, one

    many, one = _with_clients(url, listed)

    assert many == [f"of many {number}" for number in reversed(range(23))]
    assert one == ["of many 7"]


def test_only_a_queued_order_can_be_cancelled(planet: LocalPlanet, url: str) -> None:
    item_id = _found(planet, url, limit=1)[0]["id"]

    async def cancel(_data: DataClient, orders: OrdersClient) -> tuple[dict[str, Any], dict[str, Any]]:
        queued = await orders.create_order(_request(planet, "cancelled", [item_id]))
        cancelled = await orders.cancel_order(queued["id"])
        with pytest.raises(Conflict, match="Order not in a cancellable state"):
            await orders.cancel_order(queued["id"])
        return cancelled, await orders.cancel_orders([queued["id"]])

    cancelled, in_bulk = _with_clients(url, cancel)

    assert cancelled["state"] == "cancelled"
    assert in_bulk["result"]["failed"]["count"] == 1


def test_the_sdk_meets_the_errors_it_knows(planet: LocalPlanet, url: str) -> None:
    body = _request(planet, "refused", ["20200101_000000_00_0000"])

    async def refused(data: DataClient, orders: OrdersClient) -> None:
        with pytest.raises(BadQuery, match="Item ID 20200101_000000_00_0000 / Item Type PSScene doesn't exist"):
            await orders.create_order(body)
        with pytest.raises(MissingResource, match="Could not load order ID"):
            await orders.get_order("7513d6ff-64ca-4042-810d-684b63931ca7")
        with pytest.raises(MissingResource):
            await data.get_item("PSScene", "20200101_000000_00_0000")

    async def stranger(_data: DataClient, orders: OrdersClient) -> None:
        with pytest.raises(InvalidAPIKey, match="Please enter your API key"):
            await orders.aggregated_order_stats()

    _with_clients(url, refused)
    _with_clients(url, stranger, key="another")


def test_searches_are_saved_changed_run_counted_and_deleted(planet: LocalPlanet, url: str) -> None:
    everything = data_filter.and_filter([])

    async def saved(data: DataClient, _orders: OrdersClient) -> tuple[int, list[str], dict[str, Any], dict[str, Any]]:
        search = await data.create_search(["PSScene"], everything, "mine")
        await data.update_search(search["id"], ["PSScene"], data_filter.range_filter("clear_percent", gte=90), "mine")
        found = [item async for item in data.run_search(search["id"])]
        names = [one["name"] async for one in data.list_searches(search_type="saved")]
        stats = await data.get_stats(["PSScene"], everything, "day")
        await data.delete_search(search["id"])
        with pytest.raises(MissingResource, match="The requested search id does not exist"):
            await data.get_search(search["id"])
        clear = await data.get_item_coverage("PSScene", found[0]["id"], planet.account.catalogue.aoi)
        return len(found), names, stats, clear

    found, names, stats, clear = _with_clients(url, saved)

    assert found < sum(bucket["count"] for bucket in stats["buckets"])
    assert names == ["mine"]
    assert clear["clear_percent"] == 100


def test_an_asset_is_activated_downloaded_and_checked(planet: LocalPlanet, url: str, tmp_path: Path) -> None:
    item_id = _found(planet, url, limit=1)[0]["id"]

    async def fetch(data: DataClient, _orders: OrdersClient) -> tuple[str, dict[str, Any], Path]:
        asset = await data.get_asset("PSScene", item_id, "ortho_udm2")
        await data.activate_asset(asset)
        active = await data.wait_asset(asset, delay=0, max_attempts=0)
        path = await data.download_asset(active, directory=tmp_path, progress_bar=False)
        data.validate_checksum(active, path)
        return asset["status"], active, path

    before, active, path = _with_clients(url, fetch)

    assert (before, active["status"]) == ("inactive", "active")
    assert path.name == f"{item_id}_3B_udm2.tif"


def test_the_sdk_gets_over_an_answer_that_was_lost_by_ordering_twice(planet: LocalPlanet, url: str) -> None:
    """Why ours asks for the name first."""
    item_id = _found(planet, url, limit=1)[0]["id"]
    planet.account.faults.add(Rule(fault=Fault.TRUNCATED, operation=Operation.CREATE, times=1))

    async def order(_data: DataClient, orders: OrdersClient) -> None:
        await orders.create_order(_request(planet, "bought twice", [item_id]))

    _with_clients(url, order)

    assert planet.account.book.count_by_name()["bought twice"] == 2


def test_the_command_line_searches_orders_waits_and_downloads(planet: LocalPlanet, url: str, tmp_path: Path) -> None:
    item_id = _found(planet, url, limit=1)[0]["id"]
    body = json.dumps(_request(planet, "by command", [item_id]))
    everything = json.dumps(data_filter.and_filter([]))

    searched = _run("data", "--base-url", f"{url}/data/v1", "search", "PSScene", "--filter", everything, "--limit", "2")
    created = json.loads(_run("orders", "--base-url", f"{url}/compute/ops", "create", body).stdout)
    waited = _run("orders", "--base-url", f"{url}/compute/ops", "wait", created["id"], "--delay", "1")
    got = json.loads(_run("orders", "--base-url", f"{url}/compute/ops", "get", created["id"]).stdout)
    there = ("--directory", str(tmp_path), "--checksum", "MD5")
    _run("orders", "--base-url", f"{url}/compute/ops", "download", created["id"], *there)
    listed = _run("orders", "--base-url", f"{url}/compute/ops", "list", "--name", "by command")

    assert len(searched.stdout.splitlines()) == 2
    assert waited.stdout.strip().endswith("success")
    assert (got["state"], len(got["_links"]["results"])) == ("success", 5)
    assert (tmp_path / created["id"] / "manifest.json").is_file()
    assert json.loads(listed.stdout)["id"] == created["id"]


def _run(*arguments: str) -> Result:
    result = CliRunner().invoke(planet_command, ["--quiet", "--auth-api-key", KEY, *arguments], obj={})
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result
