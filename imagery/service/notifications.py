"""What callers may ask of events: which there were, how telling them went, and to be told again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imagery.errors import EventUnknown, StatusConflict, SubscriptionUnknown
from imagery.model.access import Caller
from imagery.model.event import Delivery, DeliveryLog, DeliveryStatus, Event, EventQuery, endpoint_of
from imagery.model.paging import Page
from imagery.model.subscription import Webhook
from imagery.ports import Clock, EventStore, Outbox, SubscriptionStore


@dataclass(frozen=True, kw_only=True)
class Notifications:
    """A caller meets only their own events."""

    events: EventStore
    outbox: Outbox
    subscriptions: SubscriptionStore
    clock: Clock

    def find(self, caller: Caller, query: EventQuery) -> Page[Event]:
        """The caller's events that match, newest first."""
        return self.events.find(replace(query, owner=caller.scope))

    def get(self, caller: Caller, event_id: str) -> Event:
        """Raises EventUnknown, for another owner's too."""
        # One sentence for both, so that nobody learns which ids others have.
        refusal = EventUnknown(f"there is no event {event_id}; events are kept for a while only")
        try:
            event = self.events.get(event_id)
        except EventUnknown:
            raise refusal from None
        if caller.scope not in (None, event.owner):
            raise refusal
        return event

    def log(self, caller: Caller, event_id: str) -> DeliveryLog:
        """How telling it has gone. Raises EventUnknown."""
        self.get(caller, event_id)
        return self.outbox.log(event_id)

    def redeliver(self, caller: Caller, event_id: str) -> DeliveryLog:
        """Tell it again, now, whether or not it was taken before; under its old id, so that receivers know it.

        Raises EventUnknown, StatusConflict when there is nobody to tell.
        """
        event = self.get(caller, event_id)
        webhook = self._webhook(event)
        now = self.clock()
        delivery = Delivery(
            event=event,
            endpoint=endpoint_of(event.owner, webhook.url),
            status=DeliveryStatus.PENDING,
            asked_at=now,
            next_at=now,
        )
        self.outbox.redeliver(delivery)
        return self.outbox.log(event_id)

    def _webhook(self, event: Event) -> Webhook:
        try:
            webhook = self.subscriptions.get(event.subscription_id).webhook
        except SubscriptionUnknown:
            raise StatusConflict("the event's subscription is gone, and its webhook with it") from None
        if webhook is None:
            raise StatusConflict("the event's subscription has no webhook; set one with PATCH, then redeliver")
        if webhook.disabled_at is not None:
            raise StatusConflict("the webhook is disabled, its receiver answered 410 Gone; set it again with PATCH")
        return webhook
