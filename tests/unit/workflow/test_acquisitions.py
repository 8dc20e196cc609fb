"""One acquisition, one product: tiles that overlap, processings that follow, whoever comes first and whatever dies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from rasterio.transform import from_origin

from imagery.errors import CatalogUnavailable, StoreUnavailable
from imagery.model.event import EventQuery, EventType
from imagery.model.outcome import Outcome, OutcomeQuery, OutcomeStatus, SkipReason
from imagery.model.processing import Processing
from imagery.model.product import Product, ProductStatus
from imagery.model.request import Request
from imagery.model.subscription import Filters, Subscription
from imagery.service.discovery import waiting
from imagery.workflow.share import state_of
from imagery.workflow.steps import Neighbours, steps
from tests.unit.workflow.conftest import LEFT, TOP, House, square
from tests.unit.workflow.test_steps import carry_out, cut, item_request, register

DATATAKE = "GS2B_20260420T100029_042000"
WEST, EAST = "S2B_33TWL_20260420_0_L2A", "S2B_33TWM_20260420_0_L2A"
ACQUISITION = "S2B_20260420T100029"


def publish(
    house: House,
    item_id: str,
    *,
    columns: tuple[int, int] = (0, 100),
    value: int = 2000,
    updated: str = "2026-04-20T12:00:00Z",
    baseline: str = "05.11",
    **said: Any,
) -> pystac.Item:
    """A tile of the datatake that shows these columns of the scene; `value` in all its pixels."""
    _, tile, _, sequence, _ = item_id.split("_")
    item = house.provider.publish(
        item_id,
        updated=updated,
        **{
            "platform": "sentinel-2b",
            "grid:code": f"MGRS-{tile}",
            "s2:datatake_id": f"{DATATAKE}_N{baseline}",
            "s2:processing_baseline": baseline,
            "s2:sequence": sequence,
            **said,
        },
    )
    item.geometry = square(0, 0, 100)["geometry"]
    first, last = columns
    data = np.zeros((1, 100, 100), "uint16")
    data[:, :, first:last] = value
    href = house.provider.folder / f"{item_id} {updated[:10]} {value} {first}.tif"
    profile = {"driver": "GTiff", "count": 1, "height": 100, "width": 100, "dtype": "uint16", "nodata": 0}
    with rasterio.open(href, "w", crs="EPSG:32633", transform=from_origin(LEFT, TOP, 10, 10), **profile) as out:
        out.write(data)
    for key in ("red", "nir"):
        item.assets[key].href = str(href)
    return item


def asked(house: House, subscription: Subscription, *item_ids: str) -> list[Request]:
    """As discovery does: a request and a row that waits, of each."""
    asker = house.neighbours.looker.asker
    for item_id in item_ids:
        match = house.joiner.match(
            house.provider.items[item_id],
            provider="earth-search",
            collection="sentinel-2-l2a",
            now=house.neighbours.clock(),
        )
        asker.ask(
            [match],
            provider="earth-search",
            collection="sentinel-2-l2a",
            kind=item_request(house, item_id, subscription).kind,
            now=house.neighbours.clock(),
        )
    waiting = {request.item_ids[0]: request for request in house.neighbours.queue.peek(50)}
    return [waiting[item_id] for item_id in item_ids]


@dataclass(frozen=True)
class State:
    """What can be seen of an acquisition from outside."""

    standing: tuple[str, ...]
    """Items of the catalog that are not deprecated."""

    deprecated: tuple[str, ...]
    rows: dict[str, tuple[str, str | None, str | None]]
    """Item → status, reason, published item."""


def state(house: House, subscription: Subscription) -> State:
    items = {one.item_id: catalog_item(house, one.item_id) for one in products(house, subscription)}
    found = [item for item in items.values() if item is not None]
    rows = house.neighbours.ledger.find(OutcomeQuery(subscription_id=subscription.id)).values
    return State(
        standing=tuple(sorted(item.id for item in found if not item.properties.get("deprecated"))),
        deprecated=tuple(sorted(item.id for item in found if item.properties.get("deprecated"))),
        rows={row.item_id: (row.status.value, row.reason, row.published_item_id) for row in rows},
    )


def products(house: House, subscription: Subscription) -> tuple[Product, ...]:
    return tuple(house.neighbours.products.all_of(subscription.id))


def current(house: House, subscription: Subscription) -> Product:
    (one,) = (each for each in products(house, subscription) if each.status is ProductStatus.CURRENT)
    return one


def catalog_item(house: House, item_id: str) -> pystac.Item | None:
    return house.neighbours.catalog.get("sentinel-2-l2a", item_id)


def row_of(house: House, subscription: Subscription, item_id: str) -> Outcome:
    row = house.neighbours.ledger.get(subscription.id, item_id)
    assert row is not None
    return row


def published_events(house: House) -> list[dict[str, Any]]:
    found = house.neighbours.events.find(EventQuery(limit=100)).values
    return [dict(event.data) for event in found if event.type is EventType.ITEM_PUBLISHED]


def pixels(house: House, product: Product) -> np.ndarray:
    """Of its red, without the row and column on each side whose centres lie outside the AOI."""
    item = catalog_item(house, product.item_id)
    assert item is not None
    with rasterio.open(item.assets["red"].href) as clip:
        data: np.ndarray = clip.read(1)[1:-1, 1:-1]
    return data


@pytest.mark.parametrize("order", list(permutations([WEST, EAST])))
def test_a_field_on_two_tiles_gets_one_product_in_either_order(house: House, order: Sequence[str]) -> None:
    subscription = house.subscribe()
    for item_id in order:
        publish(house, item_id)
    for request in asked(house, subscription, *order):
        carry_out(house, request)

    product = current(house, subscription)
    assert product.sources == (WEST,)
    assert set(product.known) == {WEST, EAST}
    assert state(house, subscription) == State(
        standing=(product.item_id,),
        deprecated=(),
        rows={WEST: ("delivered", None, product.item_id), EAST: ("skipped", "superseded", product.item_id)},
    )
    assert len(published_events(house)) == 1
    assert len(house.objects()) == 4


@pytest.mark.parametrize("order", list(permutations([0, 1])))
def test_two_tiles_cut_at_once_become_one_product(house: House, order: Sequence[int]) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    publish(house, EAST)
    requests = asked(house, subscription, WEST, EAST)
    answers = [cut(house, request) for request in requests]

    for index in order:
        register(house, requests[index], answers[index])

    product = current(house, subscription)
    assert state(house, subscription).standing == (product.item_id,)
    assert row_of(house, subscription, WEST).status is OutcomeStatus.DELIVERED
    assert row_of(house, subscription, EAST).reason is SkipReason.SUPERSEDED
    assert len(published_events(house)) == 1
    assert len(products(house, subscription)) == 1


def test_a_late_tile_that_adds_nothing_changes_nothing_and_its_bands_are_not_read(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    carry_out(house, *asked(house, subscription, WEST))
    before = state(house, subscription), house.objects(), current(house, subscription).version
    clock.advance(timedelta(hours=1))
    publish(house, EAST)

    carry_out(house, *asked(house, subscription, EAST))

    after = state(house, subscription)
    assert (after.standing, after.deprecated) == (before[0].standing, before[0].deprecated)
    assert (house.objects(), current(house, subscription).version) == before[1:]
    assert row_of(house, subscription, EAST).reason is SkipReason.SUPERSEDED
    assert "made of " + WEST in row_of(house, subscription, EAST).explanation
    assert len(published_events(house)) == 1


def test_a_late_tile_makes_a_mosaic_that_takes_over(house: House, clock: Any) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20))
    publish(house, WEST, columns=(0, 34), value=2000)
    carry_out(house, *asked(house, subscription, WEST))
    part = current(house, subscription)
    clock.advance(timedelta(hours=1))
    publish(house, EAST, columns=(26, 100), value=3000)

    carry_out(house, *asked(house, subscription, EAST))

    mosaic = current(house, subscription)
    assert mosaic.sources == (WEST, EAST)
    assert (part.version, mosaic.version) == (1, 2)
    seen = pixels(house, mosaic)
    assert [set(np.unique(column)) for column in (seen.T[:12], seen.T[14:])] == [{2000}, {3000}]
    assert state(house, subscription) == State(
        standing=(mosaic.item_id,),
        deprecated=(part.item_id,),
        rows=dict.fromkeys((WEST, EAST), ("delivered", None, mosaic.item_id)),
    )
    assert row_of(house, subscription, WEST).numbers["coverage"] == 1.0


def test_a_tile_that_shows_too_little_alone_is_delivered_in_a_mosaic(house: House) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20), filters=Filters(min_coverage=0.9))
    publish(house, WEST, columns=(0, 30))
    carry_out(house, *asked(house, subscription, WEST))
    assert row_of(house, subscription, WEST).reason is SkipReason.COVERAGE
    publish(house, EAST, columns=(30, 100))

    carry_out(house, *asked(house, subscription, EAST))

    product = current(house, subscription)
    assert set(product.sources) == {WEST, EAST}
    assert {row_of(house, subscription, one).status for one in (WEST, EAST)} == {OutcomeStatus.DELIVERED}


def test_a_mosaic_that_is_not_wanted_leaves_standing_what_was_delivered(house: House) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20), filters=Filters(max_cloud_cover=20))
    publish(house, WEST, columns=(0, 30))
    carry_out(house, *asked(house, subscription, WEST))
    before = current(house, subscription)
    cloudy: dict[str, Any] = {"eo:cloud_cover": 90.0}
    publish(house, EAST, **cloudy)

    carry_out(house, *asked(house, subscription, EAST))

    assert current(house, subscription) == before
    assert state(house, subscription) == State(
        standing=(before.item_id,),
        deprecated=(),
        rows={WEST: ("delivered", None, before.item_id), EAST: ("skipped", "cloudy", None)},
    )


def test_a_row_tells_of_its_acquisition_from_the_moment_it_waits(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)

    asked(house, subscription, WEST)

    row = row_of(house, subscription, WEST)
    assert (row.status, row.acquisition) == (OutcomeStatus.WAITING, ACQUISITION)


def test_what_is_superseded_says_so_and_stays_for_a_set_time(house: House, clock: Any) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20))
    publish(house, WEST, columns=(0, 30))
    carry_out(house, *asked(house, subscription, WEST))
    part = current(house, subscription)
    publish(house, EAST)
    carry_out(house, *asked(house, subscription, EAST))
    whole = current(house, subscription)

    old, new = catalog_item(house, part.item_id), catalog_item(house, whole.item_id)
    assert old is not None and new is not None
    expires = clock() + house.neighbours.superseded_retention
    assert old.properties["deprecated"] is True
    assert datetime.fromisoformat(old.properties["expires"]) == expires
    assert [link.target for link in old.get_links("successor-version")] == [f"./{whole.item_id}"]
    assert [link.target for link in new.get_links("predecessor-version")] == [f"./{part.item_id}"]
    assert (old.properties["version"], new.properties["version"]) == ("1", "2")
    with rasterio.open(old.assets["red"].href) as clip:
        assert clip.count == 1
    (row,) = house.neighbours.products.expired(now=expires, limit=10)
    assert (row.item_id, row.successor) == (part.item_id, whole.item_id)
    assert house.neighbours.products.expired(now=expires - timedelta(seconds=1), limit=10) == ()


def test_a_second_processing_supersedes_the_first(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, WEST, baseline="02.14", value=2000)
    carry_out(house, *asked(house, subscription, WEST))
    first = current(house, subscription)
    clock.advance(timedelta(days=400))
    again = WEST.replace("_0_", "_1_")
    publish(house, again, baseline="05.00", value=2001, updated="2027-05-01T00:00:00Z")
    house.neighbours.subscriptions.replace(subscription.changed(now=clock()))

    carry_out(house, item_request(house, again, subscription))

    second = current(house, subscription)
    assert second.sources == (again,)
    assert state(house, subscription) == State(
        standing=(second.item_id,),
        deprecated=(first.item_id,),
        rows={
            WEST: ("skipped", "superseded", second.item_id),
            again: ("delivered", None, second.item_id),
        },
    )


def test_an_older_processing_that_comes_late_does_not_take_over(house: House) -> None:
    subscription = house.subscribe()
    again = WEST.replace("_0_", "_1_")
    publish(house, again, baseline="05.00")
    carry_out(house, *asked(house, subscription, again))
    publish(house, WEST, baseline="02.14")

    carry_out(house, *asked(house, subscription, WEST))

    assert current(house, subscription).sources == (again,)
    assert row_of(house, subscription, WEST).reason is SkipReason.SUPERSEDED
    assert len(products(house, subscription)) == 1


def test_the_level_below_makes_no_second_product(house: House) -> None:
    subscription = house.subscribe()
    top_of_atmosphere = WEST.replace("L2A", "L1C")
    for item_id, kind in ((WEST, "S2MSI2A"), (top_of_atmosphere, "S2MSI1C")):
        said: dict[str, Any] = {"s2:product_type": kind}
        publish(house, item_id, **said)
    for request in asked(house, subscription, top_of_atmosphere, WEST):
        carry_out(house, request)

    assert current(house, subscription).sources == (WEST,)
    assert row_of(house, subscription, top_of_atmosphere).reason is SkipReason.SUPERSEDED
    assert len(published_events(house)) == 1


def test_other_pixels_under_the_same_source_id_are_the_next_version(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    carry_out(house, *asked(house, subscription, WEST))
    first = current(house, subscription)
    clock.advance(timedelta(days=10))
    publish(house, WEST, value=2500, updated="2026-05-09T00:00:00Z")

    carry_out(house, *asked(house, subscription, WEST))

    second = current(house, subscription)
    assert (second.version, second.sources) == (2, (WEST,))
    assert second.item_id != first.item_id
    assert (pixels(house, first) == 2000).all() and (pixels(house, second) == 2500).all()
    assert state(house, subscription).rows == {WEST: ("delivered", None, second.item_id)}
    assert len(published_events(house)) == 2


def test_the_same_pixels_under_a_new_date_are_the_same_item_told_again(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    carry_out(house, *asked(house, subscription, WEST))
    first, objects = current(house, subscription), house.objects()
    clock.advance(timedelta(days=10))
    publish(house, WEST, updated="2026-05-09T00:00:00Z")

    carry_out(house, *asked(house, subscription, WEST))

    second = current(house, subscription)
    assert (second.item_id, second.version) == (first.item_id, 1)
    assert second.known == {WEST: "2026-05-09T00:00:00.000000Z"}
    assert house.objects() == objects
    assert [event["source_updated_at"] for event in published_events(house)] == [
        "2026-05-09T00:00:00.000000Z",
        "2026-04-20T12:00:00.000000Z",
    ]


def test_what_another_request_has_weighed_is_not_read_again(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    publish(house, EAST)
    first, second = asked(house, subscription, EAST, WEST)
    carry_out(house, first)
    for item in house.provider.items.values():
        for asset in item.assets.values():
            asset.href = str(house.provider.folder / "gone.tif")

    carry_out(house, second)

    row = row_of(house, subscription, WEST)
    assert (row.status, row.published_item_id) == (OutcomeStatus.DELIVERED, current(house, subscription).item_id)
    assert row.numbers == current(house, subscription).numbers
    assert len(published_events(house)) == 1


def test_other_days_and_other_satellites_stand_beside_one_another(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    said: dict[str, Any] = {"s2:datatake_id": "GS2C_20260423T100029_003000_N05.11"}
    publish(house, "S2C_33TWL_20260423_0_L2A", datetime=datetime(2026, 4, 23, 10, tzinfo=UTC), **said)
    for request in asked(house, subscription, *house.provider.items):
        carry_out(house, request)

    assert len(state(house, subscription).standing) == 2


def test_a_tile_that_failed_does_not_keep_the_other_from_being_delivered(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    carry_out(house, *asked(house, subscription, WEST))
    row = row_of(house, subscription, WEST)
    house.neighbours.ledger.record(replace(row, status=OutcomeStatus.FAILED, error="AssetMissing"))
    publish(house, EAST, updated="2026-04-21T12:00:00Z")
    house.provider.items[WEST].assets["red"].href = "/gone.tif"

    carry_out(house, *asked(house, subscription, EAST))

    assert current(house, subscription).sources == (EAST,)
    assert set(current(house, subscription).known) == {WEST, EAST}


def test_a_sibling_that_the_provider_no_longer_has_is_no_candidate(house: House) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20))
    publish(house, WEST, columns=(0, 30))
    carry_out(house, *asked(house, subscription, WEST))
    del house.provider.items[WEST]
    publish(house, EAST)

    carry_out(house, *asked(house, subscription, EAST))

    assert current(house, subscription).sources == (EAST,)
    assert len(state(house, subscription).standing) == 1


def blind_to_one_another(house: House, subscription: Subscription) -> list[tuple[Request, dict[str, Any]]]:
    """Two requests that have each weighed the newest state of their own tile beside an older one of the other's."""
    aoi_halves = {WEST: (0, 32), EAST: (28, 100)}
    for item_id, columns in aoi_halves.items():
        publish(house, item_id, columns=columns)
    asked(house, subscription, WEST, EAST)
    old = dict(house.provider.items)
    done: list[tuple[Request, dict[str, Any]]] = []
    for item_id, value in ((WEST, 2100), (EAST, 2200)):
        house.provider.items = dict(old)
        publish(house, item_id, columns=aoi_halves[item_id], value=value, updated="2026-04-25T12:00:00Z")
        request = item_request(house, item_id, subscription)
        done.append((request, cut(house, request)))
    house.provider.items = dict(old)
    for item_id, value in ((WEST, 2100), (EAST, 2200)):
        publish(house, item_id, columns=aoi_halves[item_id], value=value, updated="2026-04-25T12:00:00Z")
    while messages := house.neighbours.queue.receive(1):
        house.neighbours.queue.acknowledge(messages[0].receipt)
    return done


@pytest.mark.parametrize("order", list(permutations([0, 1])))
def test_two_that_know_less_than_one_another_are_weighed_again(house: House, order: Sequence[int]) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20))
    done = blind_to_one_another(house, subscription)

    for index in order:
        register(house, *done[index])
    house.work()

    product = current(house, subscription)
    assert set(product.known.values()) == {"2026-04-25T12:00:00.000000Z"}
    assert set(np.unique(pixels(house, product))) == {2100, 2200}
    after = state(house, subscription)
    assert after.standing == (product.item_id,)
    assert after.rows == dict.fromkeys((WEST, EAST), ("delivered", None, product.item_id))


def test_one_that_never_saw_the_other_makes_room_and_leaves_nothing_behind(house: House, clock: Any) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20))
    publish(house, WEST, columns=(0, 30))
    request = item_request(house, WEST, subscription)
    alone = cut(house, request)
    house.neighbours.ledger.record(_waiting(house, subscription, WEST, request))
    publish(house, EAST)
    carry_out(house, *asked(house, subscription, EAST))

    register(house, request, alone)

    product = current(house, subscription)
    assert product.sources == (EAST,)
    after = state(house, subscription)
    assert (after.standing, after.deprecated) == ((product.item_id,), ())
    assert after.rows[WEST] == ("skipped", "superseded", product.item_id)
    (dropped,) = (one for one in products(house, subscription) if one != product)
    assert house.neighbours.products.expired(now=clock() + timedelta(hours=1), limit=5) == (dropped,)


def _waiting(house: House, subscription: Subscription, item_id: str, request: Request) -> Outcome:
    return waiting(house.provider.items[item_id], subscription.id, request, house.neighbours.clock())


@pytest.mark.parametrize("seed", range(4))
def test_many_tiles_that_change_while_threads_work_on_them_come_to_one_product(house: House, seed: int) -> None:
    random = Random(seed)
    subscription = house.subscribe(aoi=square(20, 20, 20))
    tiles = [f"S2B_33T{square_id}_20260420_0_L2A" for square_id in ("WL", "WM", "XL", "XM")]
    requests: list[Request] = []
    for day in (20, 21, 22):
        for tile in tiles:
            first = random.randrange(15, 38)
            columns = (first, random.randrange(first + 2, 60))
            publish(house, tile, columns=columns, value=1000 + day, updated=f"2026-04-{day}T12:00:00Z")
        requests += asked(house, subscription, *tiles)

    def work(request: Request) -> None:
        answer = cut(house, request)
        for _ in range(20):
            try:
                register(house, request, answer)
            except StoreUnavailable:
                continue
            return

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, random.sample(requests, len(requests))))
    house.work()

    product = current(house, subscription)
    after = state(house, subscription)
    assert after.standing == (product.item_id,)
    assert set(product.known.values()) == {"2026-04-22T12:00:00.000000Z"}
    assert {row[2] for row in after.rows.values()} == {product.item_id}
    assert {one for one, row in after.rows.items() if row[0] == "delivered"} == set(product.sources)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_order_steps_come_in_while_tiles_change_one_product_is_left(house: House, seed: int) -> None:
    random = Random(seed)
    subscription = house.subscribe(aoi=square(20, 20, 20))
    tiles = [f"S2B_33T{square_id}_20260420_0_L2A" for square_id in ("WL", "WM", "XL")]
    uncut: list[Request] = []
    unregistered: list[tuple[Request, dict[str, Any]]] = []
    for day in range(20, 26):
        for tile in random.sample(tiles, random.randrange(1, 3)):
            first = random.randrange(15, 38)
            columns = (first, random.randrange(first + 2, 60))
            publish(house, tile, columns=columns, value=1000 + day, updated=f"2026-04-{day}T12:00:00Z")
            uncut += [one for one in asked(house, subscription, tile) if one not in uncut]
        for _ in range(random.randrange(4)):
            if uncut and random.random() < 0.6:
                request = uncut.pop(random.randrange(len(uncut)))
                unregistered.append((request, cut(house, request)))
            elif unregistered:
                register(house, *unregistered.pop(random.randrange(len(unregistered))))
    for request, answer in random.sample(unregistered, len(unregistered)):
        register(house, request, answer)
    house.work()

    after, newest = state(house, subscription), {one.id: one for one in house.provider.items.values()}
    product = current(house, subscription)
    assert after.standing == (product.item_id,)
    assert product.known == {one: state_of(item) for one, item in newest.items()}
    assert {one for one, row in after.rows.items() if row[0] == "delivered"} == set(product.sources)
    assert {row[2] for row in after.rows.values()} == {product.item_id}


@dataclass
class Mine:
    """Raises after so many writes of everything that is wrapped in it: a process that died, for those that are left."""

    left: int

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("killed")


class Watched:
    """A port whose writes count; the last one that is let through has happened."""

    def __init__(self, inner: Any, mine: Mine, writes: Sequence[str]) -> None:
        self._inner, self._mine, self._writes = inner, mine, writes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in self._writes:
            return method

        def counted(*args: Any, **kwargs: Any) -> Any:
            self._mine.step()
            return method(*args, **kwargs)

        return counted


WRITES = {
    "objects": ("put", "remove_prefix"),
    "catalog": ("publish", "retract"),
    "products": ("save", "remove"),
    "ledger": ("record",),
    "events": ("add",),
}


def mined(house: House, mine: Mine) -> House:
    wrapped: dict[str, Any] = {
        name: Watched(getattr(house.neighbours, name), mine, writes) for name, writes in WRITES.items()
    }
    neighbours: Neighbours = replace(house.neighbours, **wrapped)
    return replace(house, neighbours=neighbours, steps=steps(neighbours))


def deaths() -> Iterator[int]:
    yield from range(40)


def test_dying_between_any_two_writes_loses_nothing_and_shows_nothing_twice(house: House, clock: Any) -> None:
    """A mosaic takes over from a part; the process dies after each of its writes in turn, for subscriber after
    subscriber, and the step is done again, as the orchestrator does.
    """
    died = 0
    subscriptions = [house.subscribe(number + 1, aoi=square(20, 20, 20)) for number in deaths()]
    publish(house, WEST, columns=(0, 34))
    for subscription in subscriptions:
        carry_out(house, item_request(house, WEST, subscription))
    clock.advance(timedelta(hours=1))
    publish(house, EAST, columns=(26, 100))
    seen: set[str] = set()
    for number, subscription in enumerate(subscriptions):
        request, mine = item_request(house, EAST, subscription), Mine(number)
        try:
            dying = mined(house, mine)
            carry_out(dying, request)
        except (StoreUnavailable, CatalogUnavailable):
            died += 1
        carry_out(house, request)
        after, product = state(house, subscription), current(house, subscription)
        shape = json.dumps([after.standing, after.deprecated, after.rows, len(products(house, subscription))])
        seen.add(shape.replace(subscription.id, "it"))
        own = [key for key in house.objects() if subscription.id in key.partition("/")[0]]
        assert len(own) == 8, f"after {number} writes"
        events = [one for one in published_events(house) if subscription.id in one["item_id"]]
        assert [one["item_id"] for one in events] == [product.item_id, *after.deprecated]

    assert len(seen) == 1
    assert died >= 10


def test_a_cut_that_is_registered_after_its_step_died_in_the_middle_is_published_once(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    (request,) = asked(house, subscription, WEST)
    answer = cut(house, request)
    for number in range(12):
        try:
            register(mined(house, Mine(number)), request, answer)
        except StoreUnavailable:
            continue

    register(house, request, answer)

    assert len(state(house, subscription).standing) == 1
    assert len(published_events(house)) == 1


def test_one_published_by_a_step_that_died_is_taken_back_when_another_knows_more(house: House) -> None:
    subscription = house.subscribe(aoi=square(20, 20, 20))
    publish(house, WEST, columns=(0, 30))
    carry_out(house, *asked(house, subscription, WEST))
    first = current(house, subscription)
    publish(house, EAST, columns=(25, 40))
    (request,) = asked(house, subscription, EAST)
    answer = cut(house, request)
    with pytest.raises(StoreUnavailable):
        register(mined(house, Mine(1)), request, answer)  # dies between catalog and store
    third = EAST.replace("33TWM", "33TXM")
    publish(house, third)
    carry_out(house, *asked(house, subscription, third))

    register(house, request, answer)

    last = current(house, subscription)
    assert last.sources == (third,)
    assert state(house, subscription).standing == (last.item_id,)
    old = catalog_item(house, first.item_id)
    assert old is not None
    assert [link.target for link in old.get_links("successor-version")] == [f"./{last.item_id}"]


def test_an_overtaken_cut_is_taken_back_and_what_it_had_deprecated_stands_again(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    carry_out(house, *asked(house, subscription, WEST))
    first = current(house, subscription)
    publish(house, WEST, value=2100, updated="2026-05-02T00:00:00Z")
    (request,) = asked(house, subscription, WEST)
    answer = cut(house, request)
    with pytest.raises(StoreUnavailable):
        register(mined(house, Mine(1)), request, answer)
    publish(house, WEST, value=2200, updated="2026-05-03T00:00:00Z")
    asked(house, subscription, WEST)

    register(house, request, answer)

    assert state(house, subscription).standing == (first.item_id,)
    house.work()
    last = current(house, subscription)
    assert (pixels(house, last) == 2200).all()
    assert state(house, subscription).standing == (last.item_id,)


def test_a_store_that_fails_one_of_two_at_work_leaves_the_others_objects_alone(house: House) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    publish(house, EAST)
    requests = asked(house, subscription, WEST, EAST)
    answer = cut(house, requests[0])
    objects = house.objects()
    full: Any = Watched(house.neighbours.objects, Mine(1), ("put",))
    unlucky = replace(house, steps=steps(replace(house.neighbours, objects=full)))

    with pytest.raises(StoreUnavailable):
        cut(unlucky, requests[1])
    register(house, requests[0], answer)

    assert house.objects() == objects
    assert len(objects) == 4
    assert current(house, subscription).sources == (WEST,)


def test_what_was_begun_long_ago_and_given_up_is_cleared_away(house: House, clock: Any) -> None:
    subscription = house.subscribe()
    publish(house, WEST)
    cut(house, item_request(house, WEST, subscription))
    (begun,) = products(house, subscription)
    clock.advance(timedelta(days=1))
    publish(house, WEST, value=2100, updated="2026-05-02T00:00:00Z")

    carry_out(house, *asked(house, subscription, WEST))

    assert state(house, subscription).standing == (current(house, subscription).item_id,)
    assert [one.item_id for one in house.neighbours.products.expired(now=clock(), limit=5)] == [begun.item_id]


def test_columns_that_another_tile_has_are_not_given_up_however_large_the_field(house: House) -> None:
    publish(house, WEST, columns=(0, 96))
    publish(house, EAST, columns=(50, 100))
    subscription = house.subscribe(aoi=square(0, 0, 100))
    asked(house, subscription, WEST, EAST)

    house.work()

    assert set(current(house, subscription).sources) == {WEST, EAST}
    assert current(house, subscription).numbers["coverage"] == 1.0


def test_what_is_changed_in_a_subscription_shapes_what_is_made_of_it_from_then_on(house: House) -> None:
    publish(house, WEST)
    subscription = house.subscribe(assets=("red",))
    carry_out(house, item_request(house, WEST, subscription))
    before = current(house, subscription)
    wish = Processing(harmonise=True, resolution_m=20.0)
    subscription = replace(subscription, processing=wish, version=subscription.version + 1)
    house.neighbours.subscriptions.replace(subscription)

    carry_out(house, item_request(house, WEST, subscription))
    carry_out(house, item_request(house, WEST, subscription))

    after = current(house, subscription)
    assert (after.version, after.sources) == (before.version + 1, before.sources)
    assert after.recipe != before.recipe
    assert catalog_item(house, after.item_id).properties["imagery:processing"]["harmonise"] is True
    assert catalog_item(house, before.item_id).properties["deprecated"] is True


def test_what_was_made_before_recipes_were_kept_stands(house: House) -> None:
    publish(house, WEST)
    subscription = house.subscribe(assets=("red",))
    carry_out(house, item_request(house, WEST, subscription))
    before = replace(current(house, subscription), recipe="")
    house.neighbours.products.save(before)

    carry_out(house, item_request(house, WEST, subscription))

    assert current(house, subscription).item_id == before.item_id


def test_tiles_that_differ_in_their_offset_alone_are_laid_together_when_it_is_taken_off(house: House) -> None:
    flag = "earthsearch:boa_offset_applied"
    publish(house, WEST, columns=(0, 50), value=2000, **{flag: True})
    publish(house, EAST, columns=(50, 100), value=3000, **{flag: False})
    field = square(10, 10, 80)
    moved = house.subscribe(1, aoi=field, assets=("red",), processing=Processing(harmonise=True))
    plain = house.subscribe(2, aoi=field, assets=("red",))
    asked(house, moved, WEST, EAST)

    house.work()

    assert len(current(house, plain).sources) == 1
    made = current(house, moved)
    assert set(made.sources) == {WEST, EAST}
    asset = catalog_item(house, made.item_id).assets["red"]
    with rasterio.open(asset.href) as src:
        assert set(np.unique(src.read())) == {0, 2000}
    assert asset.extra_fields["raster:offset"] == 0.0


def test_a_tile_that_is_not_in_the_product_says_what_was_seen_of_it(house: House) -> None:
    publish(house, WEST)
    subscription = house.subscribe()
    asked(house, subscription, WEST)
    house.work()
    publish(house, EAST, columns=(0, 25))
    asked(house, subscription, EAST)

    house.work()

    row = house.neighbours.ledger.get(subscription.id, EAST)
    assert row is not None and row.reason is SkipReason.SUPERSEDED
    assert row.numbers.get("coverage") == 0.5
