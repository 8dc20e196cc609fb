"""From the outbox to receivers on loopback: retried, put off, given up, and none held up by another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from imagery.errors import StatusConflict
from imagery.model.access import Caller
from imagery.model.event import Attempt, Delivery, DeliveryLog, DeliveryStatus, Event, EventQuery, endpoint_of
from imagery.model.subscription import Subscription, Webhook
from imagery.notifiers.addresses import AddressPolicy
from imagery.notifiers.webhook import WebhookNotifier
from imagery.ports import Notifier
from imagery.service.deliverer import DELAYS, LONGEST_PAUSE, Deliverer, after, pause_after
from imagery.service.notifications import Notifications
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.events import SqliteEventStore
from imagery.stores.sqlite.outbox import SqliteOutbox
from imagery.stores.sqlite.subscriptions import SqliteSubscriptionStore
from tests.conftest import MovableClock
from tests.contract.examples import NOW, a_subscription, a_webhook, an_event
from tests.unit.notifiers.receivers import Answer, Receiver, answering, in_turn, receiving

ANA = Caller(owner="ana")


@dataclass
class Post:
    """Outbox, deliverer and what callers ask, on one file."""

    path: Path
    clock: MovableClock
    stack: ExitStack
    notifier: Notifier = field(
        default_factory=lambda: WebhookNotifier(
            policy=AddressPolicy(allow_http=True, allow_private=True), base_url="", timeout_s=5.0
        )
    )

    def __post_init__(self) -> None:
        self.database = self.stack.enter_context(Database(self.path))
        self.subscriptions = SqliteSubscriptionStore(self.database)
        self.events, self.outbox = SqliteEventStore(self.database), SqliteOutbox(self.database)
        self.notifications = Notifications(
            events=self.events, outbox=self.outbox, subscriptions=self.subscriptions, clock=self.clock
        )
        self.deliverer = Deliverer(
            outbox=self.outbox,
            events=self.events,
            subscriptions=self.subscriptions,
            notifier=self.notifier,
            together=self.database.write,
            clock=self.clock,
            retention=timedelta(days=30),
        )
        self.stack.callback(self.deliverer.close, 10.0)

    def receiver(self, answer: Answer) -> Receiver:
        return self.stack.enter_context(receiving(answer))

    def subscribe(self, url: str, number: int = 1, owner: str = "ana") -> Subscription:
        return self.subscriptions.add(a_subscription(number, owner=owner, webhook=a_webhook(url)))

    def tell(self, subscription: Subscription, *numbers: int) -> None:
        for n in numbers:
            event = an_event(n, subscription_id=subscription.id, owner=subscription.owner, at=self.clock())
            self.events.add([event])

    def work(self) -> int:
        """Deliver until nothing more is due now; gives how many attempts that took."""
        done = 0
        while begun := self.deliverer.run_once():
            assert self.deliverer.rest(20)
            done += begun
        return done

    def log(self, number: int) -> DeliveryLog:
        return self.outbox.log(f"evt_{number}")

    def status(self, number: int) -> DeliveryStatus:
        delivery = self.log(number).delivery
        assert delivery is not None
        return delivery.status

    def webhook(self, subscription: Subscription) -> Webhook:
        webhook = self.subscriptions.get(subscription.id).webhook
        assert webhook is not None
        return webhook


@pytest.fixture
def post(tmp_path: Path, clock: MovableClock) -> Iterator[Post]:
    with ExitStack() as stack:
        yield Post(tmp_path / "imagery.db", clock, stack)


def ids(receiver: Receiver) -> list[str]:
    return [one.headers["webhook-id"] for one in receiver.received]


def test_what_is_due_is_delivered_once_and_in_order(post: Post) -> None:
    receiver = post.receiver(answering(200))
    post.tell(post.subscribe(receiver.url), 1, 2, 3)

    assert post.work() == 3

    assert ids(receiver) == ["evt_1", "evt_2", "evt_3"]
    assert post.status(1) is DeliveryStatus.DELIVERED
    assert post.work() == 0


def test_a_receiver_that_was_down_for_a_moment_gets_it_with_the_next_try(post: Post, clock: MovableClock) -> None:
    receiver = post.receiver(in_turn(answering(500), answering(200)))
    post.tell(post.subscribe(receiver.url), 1, 2)

    post.work()
    assert ids(receiver) == ["evt_1"]
    clock.advance(timedelta(seconds=6))
    post.work()

    assert ids(receiver) == ["evt_1", "evt_1", "evt_2"]
    assert [attempt.status_code for attempt in post.log(1).attempts] == [500, 200]
    assert post.status(1) is post.status(2) is DeliveryStatus.DELIVERED


def test_a_receiver_that_stays_down_is_tried_for_a_day_and_not_more(post: Post, clock: MovableClock) -> None:
    receiver = post.receiver(answering(503))
    post.tell(post.subscribe(receiver.url), 1)
    began = clock()

    while post.status(1) is DeliveryStatus.PENDING:
        delivery = post.log(1).delivery
        assert delivery and delivery.next_at
        clock.now = max(delivery.next_at, clock.now)
        assert post.work() == 1

    assert post.status(1) is DeliveryStatus.FAILED
    assert len(receiver.received) == len(DELAYS) + 1
    assert timedelta(hours=18) < clock() - began <= timedelta(hours=24)


def test_a_receiver_without_an_answer_for_weeks_costs_little(post: Post, clock: MovableClock) -> None:
    """Many events wait for it: it is tried with one every ten minutes, and they end after a day."""
    receiver = post.receiver(answering(503))
    post.tell(post.subscribe(receiver.url), *range(1, 301))

    for _ in range(27 * 60):
        clock.advance(timedelta(minutes=1))
        post.work()

    assert len(receiver.received) < 170
    assert {post.status(n) for n in range(1, 301)} == {DeliveryStatus.FAILED}


def test_retry_after_is_kept_to(post: Post, clock: MovableClock) -> None:
    receiver = post.receiver(in_turn(answering(429, Retry_After="600"), answering(200)))
    post.tell(post.subscribe(receiver.url), 1)

    post.work()
    clock.advance(timedelta(seconds=599))
    assert post.work() == 0
    clock.advance(timedelta(seconds=1))
    assert post.work() == 1


def test_gone_disables_the_webhook_and_cancels_what_waits(post: Post, clock: MovableClock) -> None:
    receiver = post.receiver(answering(410))
    subscription = post.subscribe(receiver.url)
    post.tell(subscription, 1, 2)

    post.work()
    post.tell(subscription, 3)
    clock.advance(timedelta(days=1))
    post.work()

    assert ids(receiver) == ["evt_1"]
    assert post.webhook(subscription).disabled_at == NOW
    assert post.subscriptions.get(subscription.id).version == subscription.version + 1
    assert "410 Gone" in (post.log(1).attempts[0].error or "")
    assert (post.status(1), post.status(2)) == (DeliveryStatus.FAILED, DeliveryStatus.CANCELED)
    assert post.log(3).delivery is None
    with pytest.raises(StatusConflict, match="disabled"):
        post.notifications.redeliver(ANA, "evt_2")


def test_a_webhook_that_was_set_anew_is_not_disabled_by_an_answer_to_the_old_one(post: Post) -> None:
    subscription = post.subscribe("http://127.0.0.1:1/")

    def answer(handler: object, number: int) -> None:
        changed = post.subscriptions.get(subscription.id).changed(now=NOW, webhook=a_webhook("http://127.0.0.1:1/new"))
        post.subscriptions.replace(changed)
        answering(410)(handler, number)  # type: ignore[arg-type]

    receiver = post.receiver(answer)
    old = post.subscriptions.get(subscription.id).changed(now=NOW, webhook=a_webhook(receiver.url))
    post.subscriptions.replace(old)
    post.tell(subscription, 1)

    post.work()

    assert post.webhook(subscription) == a_webhook("http://127.0.0.1:1/new")


def test_a_webhook_that_was_removed_is_told_nothing(post: Post) -> None:
    receiver = post.receiver(answering(200))
    subscription = post.subscribe(receiver.url)
    post.tell(subscription, 1)
    post.subscriptions.replace(subscription.changed(now=NOW, webhook=None))

    post.work()

    assert receiver.received == []
    assert post.status(1) is DeliveryStatus.CANCELED


def test_a_subscription_that_is_gone_is_told_nothing(post: Post) -> None:
    receiver = post.receiver(answering(200))
    subscription = post.subscribe(receiver.url)
    post.tell(subscription, 1)
    post.subscriptions.remove(subscription.id)

    post.work()

    assert receiver.received == []
    assert post.status(1) is DeliveryStatus.CANCELED


def test_one_that_hangs_does_not_hold_up_the_others(post: Post) -> None:
    release = threading.Event()

    def hanging(handler: object, number: int) -> None:
        release.wait(10)

    slow, quick = post.receiver(hanging), post.receiver(answering(200))
    for n in range(1, 6):
        post.tell(post.subscribe(slow.url, n), n)
    for n in range(6, 20):
        post.tell(post.subscribe(quick.url, n, owner="eva"), n)

    deadline = time.monotonic() + 5
    while len(quick.received) < 14 and time.monotonic() < deadline:
        post.deliverer.run_once()
        time.sleep(0.01)
    release.set()

    assert len(quick.received) == 14
    assert len(slow.received) < 5


def test_killed_between_sending_and_saving_it_is_sent_again_under_the_same_id(
    post: Post, clock: MovableClock, tmp_path: Path
) -> None:
    receiver = post.receiver(answering(200))
    post.tell(post.subscribe(receiver.url), 1)
    due = post.outbox.due(now=clock(), limit=1)[0]
    # As far as a process comes that is killed after sending.
    post.notifier.send(a_webhook(receiver.url), due.event, now=clock())

    with ExitStack() as stack:
        again = Post(tmp_path / "imagery.db", clock, stack)
        again.work()

    assert ids(receiver) == ["evt_1", "evt_1"]
    assert len({one.body for one in receiver.received}) == 1


def test_a_redelivery_sends_what_was_delivered_once_more(post: Post, clock: MovableClock) -> None:
    receiver = post.receiver(answering(200))
    post.tell(post.subscribe(receiver.url), 1)
    post.work()
    clock.advance(timedelta(days=3))

    log = post.notifications.redeliver(ANA, "evt_1")
    assert log.delivery and log.delivery.status is DeliveryStatus.PENDING
    post.work()

    assert ids(receiver) == ["evt_1", "evt_1"]
    assert len(post.log(1).attempts) == 2
    assert post.status(1) is DeliveryStatus.DELIVERED


class Breaking:
    """A notifier with a mistake in it."""

    def check(self, url: str) -> None:
        """Anything goes."""

    def send(self, webhook: Webhook, event: Event, *, now: object) -> Attempt:
        raise ZeroDivisionError


def test_a_mistake_of_ours_over_one_delivery_is_logged_and_not_repeated_at_once(
    tmp_path: Path, clock: MovableClock, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        post = Post(tmp_path / "imagery.db", clock, stack, notifier=Breaking())
        post.tell(post.subscribe("https://hooks.example.com/"), 1)

        begun = [post.deliverer.run_once() for _ in range(20)]
        post.deliverer.close(5)

        assert sum(begun) == 1
        assert post.status(1) is DeliveryStatus.PENDING
    assert "delivery broke" in caplog.text


def test_events_are_forgotten_after_their_time(post: Post, clock: MovableClock) -> None:
    post.tell(post.subscribe("https://hooks.example.com/"), 1)
    clock.advance(timedelta(days=31))

    assert post.deliverer.prune() == 1
    assert post.events.find(EventQuery()).values == ()


def a_delivery(tries: int = 0, number: int = 1) -> Delivery:
    return Delivery(event=an_event(number), endpoint=endpoint_of("ana", "https://a"), tries=tries, asked_at=NOW)


def refused(**changes: object) -> Attempt:
    return replace(Attempt(at=NOW, url="", took_s=0.0, error="no"), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("tries", range(len(DELAYS)))
def test_delays_grow_and_differ_from_one_event_to_the_next(tries: int) -> None:
    waits = {after(a_delivery(tries, n), refused(), now=NOW).next_at for n in range(50)}

    assert len(waits) > 40
    assert all(wait and 0.9 * DELAYS[tries] <= wait - NOW <= 1.1 * DELAYS[tries] for wait in waits)


def test_an_endpoint_never_rests_longer_than_its_receiver_asks_or_ten_minutes() -> None:
    last = after(replace(a_delivery(), refusals=len(DELAYS) - 1), refused(), now=NOW)

    assert pause_after(last, refused(), now=NOW) == NOW + LONGEST_PAUSE
    assert pause_after(last, refused(retry_after_s=5.0), now=NOW) == NOW + timedelta(seconds=5)
    assert pause_after(last, refused(retry_after_s=1e9), now=NOW) == NOW + timedelta(hours=8)
    assert pause_after(last, refused(error=None), now=NOW) is None
