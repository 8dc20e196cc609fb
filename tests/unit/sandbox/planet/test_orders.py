"""The life of an order at the local Planet, its files, and refusals."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.features import geometry_mask
from rasterio.warp import transform_geom

from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Fault, Rule
from imagery.sandbox.planet.opening import open_planet

from .conftest import ORDERS, Clock, Desk, asking


def _file(desk: Desk, order: dict[str, Any], ending: str) -> bytes:
    found = next(one for one in order["_links"]["results"] if one["name"].endswith(ending))
    response = desk.client.get(found["location"])
    assert response.status_code == 200
    return response.content


def test_an_order_is_queued_then_running_then_a_success(desk: Desk) -> None:
    order_id = desk.create()
    seen = [desk.get(order_id)]
    desk.clock.advance(1.01)
    for _ in range(4):
        desk.planet.turn()
        seen.append(desk.get(order_id))
        desk.clock.advance(0.26)
    desk.planet.turn()
    seen.append(desk.get(order_id))

    assert [(one["state"], one["last_message"]) for one in seen] == [
        ("queued", "Preparing order"),
        ("running", "starting"),
        ("running", "Waiting for clip operations to complete"),
        ("running", "clip/ completed - delivering results"),
        ("running", "Waiting for delivery to complete (Running:1 Succeeded:0 Failed:0)"),
        ("success", "Manifest delivery completed"),
    ]


def test_an_order_is_described_as_recorded(desk: Desk, shared_data: Path) -> None:
    records = shared_data / "api" / "planet" / "orders"
    queued = json.loads((records / "create_202_queued.json").read_text("utf-8"))
    done = json.loads((records / "get_success_zip_results.json").read_text("utf-8"))

    order_id = desk.create()
    ours, finished = desk.get(order_id), desk.finish(order_id)

    assert set(ours) == set(queued)
    assert set(finished) == (set(done) | {"tools"}) - {"delivery", "notifications"}
    assert set(finished["_links"]["results"][0]) == set(done["_links"]["results"][0])


def test_the_pixels_are_those_of_the_scene_inside_the_aoi_and_nothing_outside(desk: Desk) -> None:
    item_id = desk.ids("ortho_analytic_4b_sr")[0]
    order = desk.finish(desk.create(ids=[item_id]))
    scene = desk.planet.account.catalogue.get(item_id, desk.clock())
    assert scene is not None

    with (
        rasterio.open(io.BytesIO(_file(desk, order, "AnalyticMS_SR_clip.tif"))) as made,
        rasterio.open(scene.files["ortho_analytic_4b_sr"]) as whole,
    ):
        pixels, bounds = made.read(), made.bounds
        expected = whole.read(window=whole.window(*bounds))
        inside = geometry_mask(
            [transform_geom("EPSG:4326", made.crs, desk.aoi)], made.shape, made.transform, all_touched=True, invert=True
        )

    assert (made.dtypes[0], made.count, made.nodata, made.res) == ("uint16", 4, 0, (3.0, 3.0))
    assert np.array_equal(pixels[:, inside], expected[:, inside])
    assert inside.any()
    assert not pixels[:, ~inside].any()


def test_the_manifest_lists_every_file_with_its_size_and_digests(desk: Desk) -> None:
    order = desk.finish(desk.create(ids=desk.ids("ortho_analytic_4b_sr")[:2]))
    manifest = json.loads(_file(desk, order, "manifest.json"))

    names = {one["name"] for one in order["_links"]["results"]}
    for entry in manifest["files"]:
        content = _file(desk, order, entry["path"])
        assert f"{order['id']}/{entry['path']}" in names
        assert entry["size"] == len(content)
        assert entry["digests"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["annotations"]["planet/item_id"] in entry["path"]
    assert {entry["annotations"].get("planet/asset_type") for entry in manifest["files"]} == {
        "ortho_analytic_4b_sr",
        "ortho_analytic_4b_xml",
        "ortho_udm2",
        None,
    }


def test_a_zipped_order_is_one_archive_and_a_manifest(desk: Desk) -> None:
    order = desk.finish(desk.create(delivery={"archive_type": "zip", "single_archive": True}))

    with zipfile.ZipFile(io.BytesIO(_file(desk, order, ".zip"))) as archive:
        names = archive.namelist()

    assert len(order["_links"]["results"]) == 2
    assert len(names) == 4


def test_a_link_expires_and_getting_the_order_gives_a_new_one(desk: Desk) -> None:
    desk.planet.account.manners.change(link_lifetime_s=60)
    order = desk.finish(desk.create())
    old = order["_links"]["results"][0]["location"]
    desk.clock.advance(61)

    expired = desk.client.get(old)
    renewed = desk.client.get(desk.get(order["id"])["_links"]["results"][0]["location"])

    assert (expired.status_code, renewed.status_code) == (401, 200)
    assert desk.client.get(old[:-4] + "0000").status_code == 404


def test_downloads_go_on_from_any_byte_also_behind_a_redirect(desk: Desk) -> None:
    order = desk.finish(desk.create())
    location = order["_links"]["results"][1]["location"]
    whole = desk.client.get(location).content
    desk.planet.account.manners.change(redirects=True)

    moved = desk.client.get(location, follow_redirects=False)
    rest = desk.client.get(location, headers={"Range": "bytes=1000-"})

    assert moved.status_code == 302
    assert (rest.status_code, rest.content) == (206, whole[1000:])


def test_names_can_be_bare_and_prefixed_in_one_order(desk: Desk) -> None:
    desk.planet.account.manners.change(names="mixed")

    order = desk.finish(desk.create())

    prefixed = [one["name"].startswith(order["id"]) for one in order["_links"]["results"]]
    assert prefixed == [True, False, True, False, True]


def test_a_partial_order_leaves_out_what_cannot_be_made_and_a_full_one_fails(desk: Desk) -> None:
    ids = [
        *desk.ids("ortho_analytic_4b_sr")[:1],
        next(one for one in desk.ids() if one not in desk.ids("ortho_analytic_4b_sr")),
    ]

    partial = desk.finish(desk.create("partial", ids=ids, order_type="partial"))
    full = desk.finish(desk.create("full", ids=ids))

    assert (partial["state"], len(partial["error_hints"])) == ("partial", 1)
    assert len(partial["_links"]["results"]) == 5
    assert (full["state"], full["error_hints"]) == ("failed", [])
    assert "Unable to accept order" in full["last_message"]
    assert "results" not in full["_links"]


def test_a_fallback_bundle_serves_where_the_first_is_not_there(desk: Desk) -> None:
    without = next(one for one in desk.ids() if one not in desk.ids("ortho_analytic_4b_sr"))
    body = desk.body("fallback", ids=[without])
    body["products"][0]["product_bundle"] = "analytic_sr_udm2,analytic_udm2"

    order = desk.finish(desk.client.post(ORDERS, json=body).json()["id"])

    assert any(one["name"].endswith("3B_AnalyticMS_clip.tif") for one in order["_links"]["results"])


def test_an_order_can_be_cancelled_while_it_is_queued_only(desk: Desk) -> None:
    first, second = desk.create("first"), desk.create("second")

    cancelled = desk.client.put(f"{ORDERS}/{first}")
    desk.clock.advance(1.01)
    desk.planet.turn()
    refused = desk.client.put(f"{ORDERS}/{second}")

    assert cancelled.json()["state"] == "cancelled"
    assert (refused.status_code, refused.json()) == (409, {"message": "Order not in a cancellable state"})
    assert desk.finish(first)["state"] == "cancelled"


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault.ORDER_FAILED, "failed"),
        (Fault.ORDER_CANCELLED, "cancelled"),
        (Fault.ORDER_STUCK, "running"),
        (Fault.NO_MANIFEST, "success"),
    ],
)
def test_orders_go_wrong_on_command_by_name(desk: Desk, fault: Fault, state: str) -> None:
    desk.planet.account.faults.add(Rule(fault=fault, name="bad*"))

    bad, good = desk.create("bad one"), desk.create("good one")
    ended = desk.finish(bad)

    assert ended["state"] == state
    assert desk.get(good)["state"] == "success"
    assert not any(one["name"].endswith("manifest.json") for one in ended["_links"].get("results", ()))


def test_an_order_can_be_partial_and_its_manifest_wrong_on_command(desk: Desk) -> None:
    desk.planet.account.faults.add(Rule(fault=Fault.ORDER_PARTIAL, name="partial"))
    desk.planet.account.faults.add(Rule(fault=Fault.WRONG_DIGEST, name="wrong"))
    ids = desk.ids("ortho_analytic_4b_sr")[:2]

    partial = desk.finish(desk.create("partial", ids=ids, order_type="partial"))
    wrong = desk.finish(desk.create("wrong"))
    entry = json.loads(_file(desk, wrong, "manifest.json"))["files"][0]

    assert partial["state"] == "partial"
    assert not any(ids[1] in one["name"] for one in partial["_links"]["results"])
    assert entry["digests"]["md5"] != hashlib.md5(_file(desk, wrong, entry["path"])).hexdigest()


def test_orders_are_listed_newest_first_filtered_and_without_results(desk: Desk) -> None:
    ids = []
    for number in range(3):
        ids.append(desk.create(f"order {number}"))
        desk.clock.advance(0.1)
    desk.finish(ids[0])

    listed = desk.client.get(ORDERS).json()["orders"]
    sorted_ = desk.client.get(ORDERS, params={"sort_by": "name DESC", "state": "success"}).json()["orders"]
    later = desk.client.get(ORDERS, params={"created_on": "2026-05-01T12:00:00.05Z/.."}).json()["orders"]

    assert [one["id"] for one in listed] == ids[::-1]
    assert "results" not in listed[0]["_links"]
    assert [one["name"] for one in sorted_] == ["order 2", "order 1", "order 0"]
    assert len(later) == 2
    assert desk.client.get(ORDERS, params={"name": "nothing"}).json()["orders"] == []


def test_a_planet_that_was_killed_goes_on_with_its_orders(desk: Desk, catalogue: Catalogue) -> None:
    """The first is never closed: what it knew is in its folder."""
    waiting, finished = desk.create("waiting"), desk.create("finished")
    location = desk.finish(finished)["_links"]["results"][0]["location"]
    queued = desk.create("queued")

    with (
        open_planet(desk.workdir, catalogue=catalogue, clock=desk.clock, turns_itself=False) as again,
        asking(again) as client,
    ):
        second = replace(desk, planet=again, client=client)
        assert second.client.get(location).status_code == 200
        assert second.get(waiting)["state"] == "success"
        assert second.finish(queued)["state"] == "success"


def test_a_planet_turns_by_itself(tmp_path: Path, catalogue: Catalogue) -> None:
    clock = Clock()
    quickly = Behaviour(rate_scale=0)
    with open_planet(tmp_path, catalogue=catalogue, clock=clock, behaviour=quickly) as planet, asking(planet) as client:
        desk = Desk(planet=planet, clock=clock, client=client, workdir=tmp_path)
        order_id = desk.create()
        deadline = time.monotonic() + 10
        while desk.get(order_id)["state"] != "success" and time.monotonic() < deadline:
            clock.advance(0.5)
            time.sleep(0.02)

        assert desk.get(order_id)["state"] == "success"
