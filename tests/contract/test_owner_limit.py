"""What every SubscriptionStore promises of the limit to an owner's subscriptions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from imagery.errors import LimitReached
from imagery.model.subscription import Idempotency, SubscriptionQuery, SubscriptionStatus
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore

from .examples import a_subscription

ENDED, DELETED = SubscriptionStatus.ENDED, SubscriptionStatus.MARKED_FOR_DELETION


def test_one_more_than_an_owner_may_have_is_refused_by_the_name_of_the_limit(subscriptions):
    for number in (1, 2):
        subscriptions.add(a_subscription(number), most=2)

    with pytest.raises(LimitReached) as refusal:
        subscriptions.add(a_subscription(3), most=2)

    assert refusal.value.limit == "max_subscriptions_per_owner"
    assert len(subscriptions.find(SubscriptionQuery()).values) == 2
    subscriptions.add(a_subscription(4, owner="ben"), most=2)


def test_a_repeat_is_no_addition(subscriptions):
    key = Idempotency(key="spring", fingerprint="f1")
    first = subscriptions.add(a_subscription(1), idempotency=key, most=1)

    assert subscriptions.add(a_subscription(2), idempotency=key, most=1) == first


@pytest.mark.parametrize("status", [ENDED, DELETED])
def test_what_has_ended_makes_room_and_needs_room_to_come_back(subscriptions, status):
    first = subscriptions.add(a_subscription(1), most=1)
    subscriptions.replace(replace(first, status=status, version=2), most=1)
    second = subscriptions.add(a_subscription(2), most=1)

    with pytest.raises(LimitReached):
        subscriptions.replace(replace(first, version=3), most=1)

    subscriptions.remove(second.id)
    subscriptions.replace(replace(first, version=3), most=1)


def test_changing_one_of_as_many_as_allowed_is_no_addition(subscriptions):
    first = subscriptions.add(a_subscription(1), most=1)

    subscriptions.replace(replace(first, status=SubscriptionStatus.PAUSED, version=2), most=1)
    subscriptions.replace(replace(first, version=3), most=1)


def test_of_additions_that_race_no_more_get_through_than_allowed(back_end, clock):
    def add(number: int) -> bool:
        try:
            back_end.open(clock).subscriptions.add(a_subscription(number), most=3)
        except LimitReached:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(add, range(1, 9))) == 3


def test_subscriptions_of_a_file_from_before_they_were_counted_are_counted(tmp_path):
    with Database(tmp_path / "imagery.db") as database:
        store = SqliteSubscriptionStore(database)
        for number, status in enumerate((SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED, ENDED), start=1):
            store.add(a_subscription(number, status=status))
        with database.write() as connection:
            for name in ("came", "went", "ended", "revived"):
                connection.execute(f"DROP TRIGGER subscription_{name}")
            connection.execute("DROP TABLE subscription_count")
            connection.execute("DELETE FROM migration WHERE subject = 'subscription_count'")

        again = SqliteSubscriptionStore(database)

        again.add(a_subscription(4), most=3)
        with pytest.raises(LimitReached):
            again.add(a_subscription(5), most=3)
