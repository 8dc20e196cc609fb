"""`imagery verify`, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagery.cli.app import app
from imagery.model.product import Product, ProductStatus
from imagery.model.subscription import SubscriptionStatus
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from tests.contract.examples import a_subscription

LOST = Product(
    subscription_id=a_subscription(1).id,
    acquisition="datatake",
    item_id="made-1",
    collection_id="sentinel-2-l2a",
    prefix="sub/made-1",
    sources=("a",),
    status=ProductStatus.CURRENT,
    updated_at=datetime(2026, 5, 1, tzinfo=UTC),
)
"""Its item and its objects are nowhere."""


@pytest.fixture
def imagery(tmp_path: Path) -> Iterator[Imagery]:
    with build(Settings(data_dir=tmp_path)) as imagery:
        for number in (1, 2):
            imagery.delete_checker.subscriptions.add(a_subscription(number))
        imagery.products.save(LOST)
        yield imagery


def verify(imagery: Imagery, *arguments: str) -> Any:
    return CliRunner().invoke(app, ["verify", *arguments, "--data-dir", str(imagery.settings.data_dir)])


def test_differences_end_with_1_and_say_what_to_do(imagery: Imagery) -> None:
    done = verify(imagery, LOST.subscription_id)

    assert done.exit_code == 1
    assert "item made-1 is not in the catalog" in done.stdout
    assert "subscribe the same area" in done.stdout
    assert "2 differences" in done.stdout


def test_all_subscriptions_as_one_json_document(imagery: Imagery) -> None:
    imagery.products.save(replace(LOST, item_id="made-2", prefix="sub/made-2"))

    done = verify(imagery, "--all", "--json")

    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["subscriptions"], found["items"], found["different"]) == (2, 2, 4)
    assert {one["item_id"] for one in found["differences"]} == {"made-1", "made-2"}


def test_one_that_is_being_removed_is_left_out_of_all(imagery: Imagery) -> None:
    store = imagery.delete_checker.subscriptions
    at = datetime(2026, 5, 2, tzinfo=UTC)
    store.replace(store.get(LOST.subscription_id).changed(now=at, status=SubscriptionStatus.DELETING))

    assert verify(imagery, "--all").exit_code == 0


def test_no_difference_ends_with_0(imagery: Imagery) -> None:
    done = verify(imagery, a_subscription(2).id)

    assert (done.exit_code, done.stdout) == (0, "0 items of 1 subscriptions, 0 files, 0 bytes: no differences\n")


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("--all", "sub_1"), 2), (("sub_none",), 1)])
def test_what_is_to_be_verified_must_be_named(imagery: Imagery, arguments: tuple[str, ...], code: int) -> None:
    assert verify(imagery, *arguments).exit_code == code
