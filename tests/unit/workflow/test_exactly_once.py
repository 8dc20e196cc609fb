"""Whatever a feed does, and however often it is interrupted: each state of an item is asked for once a subscription."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pystac
from hypothesis import given, settings
from hypothesis import strategies as st

from imagery.checkers.feed import FeedReader
from imagery.errors import ProviderUnavailable
from imagery.service.arrivals import Arrivals
from imagery.service.discovery import Asker
from imagery.service.joining import Joiner
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.feeds import SqliteFeedStore
from imagery.stores.sqlite.ledger import SqliteLedger
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from tests.contract.examples import NOW, a_subscription

OVERLAP = timedelta(hours=1)
FIELDS = 3

MINUTES = st.integers(0, 55)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 5), MINUTES),
        st.tuples(st.just("push"), st.integers(0, 5)),
        st.tuples(st.just("check")),
        st.tuples(st.just("check")),
        st.tuples(st.just("broken check"), st.integers(0, 6)),
        st.tuples(st.just("wait"), st.sampled_from([1, 20, 59, 61, 600, 5000])),
    ),
    max_size=40,
)


class QueueOfLists:
    """Remembers what was sent."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()

    def send(self, requests: Any) -> None:
        for request in requests:
            self.asked.update((request.item_ids[0], subscription_id) for subscription_id in request.subscription_ids)

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


@dataclass
class Feed:
    """A provider whose items become visible up to an hour after their stamps, in an order of its own."""

    shuffled: bool
    items: dict[str, pystac.Item] = field(default_factory=dict)
    breaks_after: int | None = None

    def publish(self, name: str, updated: datetime) -> None:
        known = self.items.get(name)
        if known is not None and known.common_metadata.updated is not None:
            updated = max(updated, known.common_metadata.updated + timedelta(seconds=1))
        item = pystac.Item(
            id=name,
            geometry=a_subscription().aoi.geometry,
            bbox=list(a_subscription().aoi.bbox),
            datetime=NOW,
            properties={"updated": updated.isoformat()},
            collection="sentinel-2-l2a",
        )
        self.items[name] = item

    def changes(self, collection_id: str, *, since: datetime) -> Iterator[pystac.Item]:
        found = [item for item in self.items.values() if (item.common_metadata.updated or since) >= since]
        found.sort(key=lambda item: str(item.common_metadata.updated), reverse=self.shuffled)
        for number, item in enumerate(found):
            if number == self.breaks_after:
                raise ProviderUnavailable("the line broke")
            yield item

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


@settings(max_examples=60, deadline=None)
@given(operations=OPERATIONS, shuffled=st.booleans(), batch=st.sampled_from([1, 2, 100]))
def test_each_state_that_is_seen_is_asked_for_once(operations: list[Any], shuffled: bool, batch: int) -> None:
    with TemporaryDirectory() as folder, Database(Path(folder) / "imagery.db") as database:
        feed, queue, now = Feed(shuffled), QueueOfLists(), NOW
        subscriptions = SqliteSubscriptionStore(database)
        for number in range(1, FIELDS + 1):
            subscriptions.add(a_subscription(number))
        asker = Asker(ledger=SqliteLedger(database), queue=queue, together=database.write, per_request=2)
        joiner = Joiner(subscriptions=subscriptions, late_arrivals=timedelta(days=3))
        reader = FeedReader(
            subscriptions=subscriptions,
            feeds=SqliteFeedStore(database),
            joiner=joiner,
            asker=asker,
            overlap=OVERLAP,
            first_reach=timedelta(days=30),
            # Of a feed out of order nothing may be saved before its first page has shown that it is.
            batch=100 if shuffled else batch,
        )
        states: dict[str, set[datetime | None]] = {}

        def see(name: str) -> None:
            states.setdefault(name, set()).add(feed.items[name].common_metadata.updated)

        def check() -> None:
            reader.read(feed, name="earth-search", collection="sentinel-2-l2a", now=now)
            for name in feed.items:
                see(name)

        for operation in [*operations, ("check",)]:
            match operation:
                case ("publish", number, minutes):
                    feed.publish(f"i{number}", now - timedelta(minutes=minutes))
                case ("push", number) if f"i{number}" in feed.items:
                    item = feed.items[f"i{number}"]
                    Arrivals(joiner=joiner, asker=asker).take([item], provider="earth-search", now=now)
                    see(item.id)
                case ("wait", minutes):
                    now += timedelta(minutes=minutes)
                    check()  # the service is up: nothing stays invisible for longer than the overlap
                case ("check",):
                    check()
                case ("broken check", after):
                    feed.breaks_after = after
                    before = Counter(queue.asked)
                    try:
                        check()
                    except ProviderUnavailable:
                        for name in {name for name, _ in queue.asked - before}:
                            see(name)
                    feed.breaks_after = None
        ids = [a_subscription(number).id for number in range(1, FIELDS + 1)]
        assert queue.asked == Counter({(name, one): len(seen) for name, seen in states.items() for one in ids})
