"""From the outbox to receivers: many at once, each at its own rhythm, until told or a day has passed."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from imagery.errors import SubscriptionUnknown, VersionConflict
from imagery.model.event import Attempt, Delivery, DeliveryStatus, endpoint_of
from imagery.model.subscription import Webhook
from imagery.ports import DELIVER_FOR, Clock, EventStore, Notifier, Outbox, SubscriptionStore, Together

logger = logging.getLogger(__name__)

DELAYS = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 28800))
"""Between tries: close at first, for a receiver that restarts; then far, for one that is down. In all 22 hours."""

JITTER = 0.1
"""Of a delay, either way: receivers that went down together do not all hear of it at one moment."""

LONGEST_PAUSE = timedelta(minutes=10)
"""Of an endpoint: after that another event is tried, in case it was the first one that was refused."""

LONGEST_WISH = timedelta(hours=8)
"""Of a receiver's Retry-After."""

GONE = 410
HOLD_S = 30.0
"""A delivery that broke on our side is left alone so long."""


@dataclass(frozen=True, kw_only=True)
class Deliverer:
    """Tells what is due. One a data directory; at least once each, under ids receivers can tell repeats by."""

    outbox: Outbox
    events: EventStore
    subscriptions: SubscriptionStore
    notifier: Notifier
    together: Together
    clock: Clock
    retention: timedelta
    """How long events are kept."""

    limit: int = 32
    """Deliveries under way at once."""

    _busy: dict[str, Delivery] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stopping: threading.Event = field(default_factory=threading.Event, repr=False)
    _threads: list[ThreadPoolExecutor] = field(default_factory=list, repr=False)

    def run_once(self) -> int:
        """Begin what there is room for and wait for none of it; gives how many."""
        with self._lock:
            busy = tuple(self._busy.values())
            if len(busy) >= self.limit or self._stopping.is_set():
                return 0
            if not self._threads:
                self._threads.append(ThreadPoolExecutor(self.limit, thread_name_prefix="imagery-webhook"))
            due = self.outbox.due(now=self.clock(), limit=self.limit - len(busy), busy=busy)
            for delivery in due:
                self._busy[delivery.event.id] = delivery
                self._threads[0].submit(self._deliver, delivery)
        return len(due)

    def rest(self, timeout_s: float) -> bool:
        """Wait until nothing is under way; whether it came to that in time."""
        deadline = time.monotonic() + timeout_s
        while self._busy and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self._busy

    def close(self, timeout_s: float) -> None:
        """Begin nothing new and give what is under way so long; what is not settled is delivered again."""
        with self._lock:
            self._stopping.set()
            for threads in self._threads:
                threads.shutdown(wait=False, cancel_futures=True)
        self.rest(timeout_s)

    def prune(self) -> int:
        """Forget events past their time of keeping; gives how many."""
        return self.events.prune(before=self.clock() - self.retention)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self.deliver(delivery)
        except Exception:
            # The others must go on; this one is still in the outbox, and tried again when it has had its rest.
            logger.exception("delivery broke", extra=_ids(delivery))
            self._stopping.wait(HOLD_S)
        finally:
            with self._lock:
                self._busy.pop(delivery.event.id, None)

    def deliver(self, delivery: Delivery) -> None:
        """Try once, and save how it went. Killed in between, it is tried again with the same id."""
        webhook = self._webhook(delivery.event.subscription_id)
        if webhook is None:
            canceled = replace(delivery, status=DeliveryStatus.CANCELED, next_at=None)
            self.outbox.settle(canceled, paused_until=None)
            return
        # The webhook may have been changed since it became due.
        delivery = replace(delivery, endpoint=endpoint_of(delivery.event.owner, webhook.url))
        attempt = self.notifier.send(webhook, delivery.event, now=self.clock())
        settled = after(delivery, attempt, now=self.clock())
        with self.together():
            self.outbox.settle(settled, attempt, paused_until=pause_after(settled, attempt, now=self.clock()))
            if attempt.status_code == GONE:
                self._disable(delivery.event.subscription_id, webhook)
        logger.info(
            "told" if attempt.is_success else "not told: %s",
            *(() if attempt.is_success else (attempt.error,)),
            extra={**_ids(delivery), "tries": settled.tries, "took_s": attempt.took_s},
        )

    def _webhook(self, subscription_id: str) -> Webhook | None:
        try:
            webhook = self.subscriptions.get(subscription_id).webhook
        except SubscriptionUnknown:
            return None
        return None if webhook is None or webhook.disabled_at is not None else webhook

    def _disable(self, subscription_id: str, webhook: Webhook) -> None:
        try:
            subscription = self.subscriptions.get(subscription_id)
            if subscription.webhook != webhook:
                return  # its owner has set another one meanwhile
            now = self.clock()
            self.subscriptions.replace(subscription.changed(now=now, webhook=replace(webhook, disabled_at=now)))
        except (SubscriptionUnknown, VersionConflict):
            return  # its owner changed it this moment; the next delivery hears 410 again
        self.outbox.retarget(subscription_id, None, now=now)
        logger.warning("webhook disabled: its receiver is gone", extra={"subscription_id": subscription_id})


def after(delivery: Delivery, attempt: Attempt, *, now: datetime) -> Delivery:
    """How a delivery stands after an attempt."""
    tries = delivery.tries + 1
    if attempt.is_success:
        return replace(delivery, status=DeliveryStatus.DELIVERED, tries=tries, refusals=0, next_at=None)
    refused = replace(delivery, tries=tries, refusals=delivery.refusals + 1)
    next_at = now + max(_delay(refused, refused.tries), _wish(attempt))
    if attempt.status_code == GONE or tries > len(DELAYS) or next_at > delivery.asked_at + DELIVER_FOR:
        return replace(refused, status=DeliveryStatus.FAILED, next_at=None)
    return replace(refused, status=DeliveryStatus.PENDING, next_at=next_at)


def pause_after(settled: Delivery, attempt: Attempt, *, now: datetime) -> datetime | None:
    """Until when the endpoint is left alone; None when it took what it was told.

    It rests longer each time, whichever event it refused: many that wait for a dead receiver ask no more often.
    """
    if attempt.is_success:
        return None
    return now + (_wish(attempt) or min(_delay(settled, settled.refusals), LONGEST_PAUSE))


def _wish(attempt: Attempt) -> timedelta:
    """What the receiver asked for, within reason; no time when it asked for none."""
    return min(timedelta(seconds=attempt.retry_after_s or 0.0), LONGEST_WISH)


def _delay(delivery: Delivery, failed: int) -> timedelta:
    """After so many failures. Jitter comes from the event's id: spread as by chance, and the same when repeated."""
    digest = hashlib.sha256(f"{delivery.event.id} {failed}".encode()).digest()
    chance = int.from_bytes(digest[:4], "big") / 2**32
    return DELAYS[min(failed, len(DELAYS)) - 1] * (1 + JITTER * (2 * chance - 1))


def _ids(delivery: Delivery) -> dict[str, str]:
    return {"event_id": delivery.event.id, "subscription_id": delivery.event.subscription_id}
