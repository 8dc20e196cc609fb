"""What every ProductStore promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from imagery.model.product import Product, ProductStatus

from .examples import NOW

SUPERSEDED = ProductStatus.SUPERSEDED


def a_product(number: int = 1, **changes: Any) -> Product:
    """Those with a higher number are a later version of the same acquisition."""
    product = Product(
        subscription_id="sub_1",
        acquisition="S2B_20260501T101549",
        item_id=f"S2B_33TVM_20260501_{number}_L2A--sub_1",
        collection_id="sentinel-2-l2a",
        prefix=f"sub_1/2026/S2B_33TVM_20260501_{number}_L2A",
        sources=("S2B_33TVM_20260501_0_L2A", "S2B_33TWM_20260501_0_L2A"),
        known={"S2B_33TVM_20260501_0_L2A": "2026-05-01T13:00:00Z", "S2B_33TWM_20260501_0_L2A": ""},
        numbers={"coverage": 0.75},
        version=number,
        updated_at=NOW,
    )
    return replace(product, **changes)


def a_superseded(number: int, *, days: int, **changes: Any) -> Product:
    """Due that many days after NOW."""
    due = NOW + timedelta(days=days)
    return a_product(number, status=SUPERSEDED, successor="newer", expires_at=due, **changes)


@pytest.fixture
def products(opened):
    return opened.products


def test_a_saved_product_comes_back_equal_after_a_restart(back_end, clock):
    product = a_superseded(1, days=30)
    back_end.open(clock).products.save(product)
    back_end.close_all()
    assert back_end.open(clock).products.of("sub_1", product.acquisition) == (product,)


def test_an_item_has_one_product_as_saved_last(products):
    products.save(a_product())
    products.save(a_product(status=ProductStatus.CURRENT, acquisition="another"))
    assert products.of("sub_1", a_product().acquisition) == ()
    assert products.of("sub_1", "another") == (a_product(status=ProductStatus.CURRENT, acquisition="another"),)


def test_those_of_an_acquisition_come_oldest_version_first(products):
    for number in (10, 2, 1):
        products.save(a_product(number))
    products.save(a_product(3, subscription_id="sub_2"))
    products.save(a_product(4, acquisition="another"))
    assert [each.version for each in products.of("sub_1", a_product().acquisition)] == [1, 2, 10]


def test_all_of_a_subscription_come_once_each_however_many(products):
    many = [a_product(number, collection_id=f"collection_{number % 3}") for number in range(1203)]
    for product in many:
        products.save(product)
    products.save(a_product(1, subscription_id="sub_10"))
    assert sorted(each.version for each in products.all_of("sub_1")) == list(range(1203))


def test_all_of_a_subscription_may_be_removed_while_they_are_read(products):
    for number in range(3):
        products.save(a_product(number))
    for product in products.all_of("sub_1"):
        products.remove(product)
    assert list(products.all_of("sub_1")) == []


def test_expired_are_the_superseded_whose_time_has_come_longest_due_first(products):
    products.save(a_superseded(1, days=-1))
    products.save(a_superseded(2, days=-3))
    products.save(a_superseded(3, days=0))
    products.save(a_superseded(4, days=1))
    products.save(a_product(5, status=ProductStatus.CURRENT, expires_at=NOW - timedelta(days=9)))
    assert [each.version for each in products.expired(now=NOW, limit=10)] == [2, 1, 3]
    assert [each.version for each in products.expired(now=NOW, limit=2)] == [2, 1]


def test_one_that_is_current_again_expires_no_more(products):
    products.save(a_superseded(1, days=-1))
    products.save(a_product(1, status=ProductStatus.CURRENT))
    assert products.expired(now=NOW, limit=10) == ()


def test_a_removed_product_is_gone_and_removing_it_again_does_nothing(products):
    products.save(a_product(1))
    products.save(a_product(2))
    products.remove(a_product(1))
    products.remove(a_product(1))
    assert [each.version for each in products.all_of("sub_1")] == [2]


def test_forgetting_a_subscription_leaves_the_products_of_others(products):
    products.save(a_product(1))
    products.save(a_product(1, subscription_id="sub_2"))
    products.forget("sub_1")
    products.forget("sub_1")
    assert list(products.all_of("sub_1")) == []
    assert len(list(products.all_of("sub_2"))) == 1


def test_products_are_saved_together_with_the_ledger_or_not_at_all(opened):
    with pytest.raises(ZeroDivisionError), opened.together():
        opened.products.save(a_product())
        raise ZeroDivisionError
    assert list(opened.products.all_of("sub_1")) == []
