"""Looking back: which windows a subscription's time is searched in, and by which requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from imagery.model.codec import format_instant
from imagery.model.look import Look
from imagery.model.request import Request, RequestKind, Window
from imagery.model.search import Search
from imagery.model.subscription import Priority, Subscription, SubscriptionStatus
from imagery.ports import FeedStore, LookStore, ProcessingQueue, Provider, SubscriptionStore, Together
from imagery.service.discovery import Asker

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Looker:
    """Does the looks that were planned."""

    asker: Asker
    looks: LookStore
    subscriptions: SubscriptionStore
    together: Together
    overlap: timedelta

    def look(self, request: Request, subscription: Subscription, *, provider: Provider, now: datetime) -> int:
        """Ask for all that a request's window holds; gives for how many items. Safe to repeat.

        Raises what the provider raises; then the look stands as not done.
        """
        look = self._planned(request)
        search = self._search(look, subscription, now)
        found = self.asker.look(
            subscription,
            search=search,
            kind=look.kind,
            provider=provider,
            now=now,
            # One that asks for what is new since the last leaves alone what was judged then. A row that was skipped
            # again since the look was planned is of this change: each is judged once for it.
            is_past=None if look.kind is RequestKind.UPDATE else lambda row: row.updated_at < look.planned_at,
        )
        with self.together():
            self.looks.done(look.request_id, now=now)
            if look.kind in (RequestKind.INITIAL, RequestKind.UPDATE):
                # Only now: until then the subscription must not be thought to have had its first look.
                self.subscriptions.mark(subscription.id, checked_through=look.planned_at)
        return found.requested

    def _planned(self, request: Request) -> Look:
        """The look a request does, or does again; one made up for a request that nobody planned."""
        known = (one for one in self.looks.of(request.subscription_ids[0]) if one.request_id == request.root)
        return next(known, None) or looks_of([request])[0]

    def _search(self, look: Look, subscription: Subscription, now: datetime) -> Search:
        """A first look reaches up to now, for the feed begins there; one after a pause asks for what is new since."""
        until, since = look.window.end_at, None
        if look.kind is not RequestKind.BACKFILL and until >= look.planned_at:
            until = min(now, subscription.end_at) if subscription.end_at else now
        if look.kind is RequestKind.UPDATE and subscription.checked_through is not None:
            since = subscription.checked_through - self.overlap
        return Search(
            collection=subscription.collection,
            aoi=subscription.aoi,
            acquired_from=look.window.start_at,
            acquired_to=max(until, look.window.end_at),
            updated_since=since,
            assets=subscription.assets,
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far subscriptions have been looked after: by looks of their own, and since then by their feed."""

    feeds: FeedStore
    looks: LookStore

    def checked_through(self, subscription: Subscription) -> datetime | None:
        """Everything the provider published up to here has been looked at. None: not before its first look is done."""
        own = subscription.checked_through
        begins_with_feed = subscription.start_at > subscription.created_at  # there was nothing to look back at
        if subscription.status is not SubscriptionStatus.ACTIVE or (own is None and not begins_with_feed):
            return own
        cursor = self.feeds.get(subscription.provider, subscription.collection)
        if cursor is None or cursor.checked_at <= (own or subscription.created_at):
            return own
        pending = (look for look in self.looks.of(subscription.id) if look.done_at is None)
        return own if any(look.kind is not RequestKind.BACKFILL for look in pending) else cursor.checked_at


@dataclass(frozen=True, kw_only=True)
class Lookback:
    """Plans looks and asks for them. Call it in the transaction that saves the subscription."""

    subscriptions: SubscriptionStore
    looks: LookStore
    queue: ProcessingQueue
    progress: Progress
    longest: timedelta
    """Of one look."""

    def begin(self, subscription: Subscription) -> None:
        """Its first looks. Safe to repeat."""
        self._plan(first_requests(subscription, longest=self.longest), subscription)

    def changed(self, before: Subscription, after: Subscription) -> None:
        """What its owner's change makes necessary: feeds serve active subscriptions, and the time they want."""
        was, is_ = (one.status is SubscriptionStatus.ACTIVE for one in (before, after))
        if was and not is_:
            through = self.progress.checked_through(before)
            self.subscriptions.mark(after.id, checked_through=through)
        if is_ and not was:
            self._resume(before, after)
        if after.status not in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAUSED):
            return
        if _begins_again(before, after):
            # All of it: the feed dropped what was processed anew after its end, so asking from there on is not enough.
            self._plan(_whole(after, longest=self.longest), after)
        elif _may_take_more(before, after):
            requests = _whole(after, longest=self.longest)
            late = [replace(one, kind=RequestKind.BACKFILL, priority=Priority.LOW) for one in requests]
            self._plan(late, after)

    def _resume(self, before: Subscription, after: Subscription) -> None:
        pending = [look for look in self.looks.of(after.id) if look.done_at is None]
        request = catch_up_request(after, now=after.updated_at)
        if request is not None and (before.checked_through is not None or not pending):
            self._plan([request], after)
        # What was planned meanwhile; what began before the pause does not begin twice.
        self.queue.send([request_of(look, after) for look in pending])

    def _plan(self, requests: Sequence[Request], subscription: Subscription) -> None:
        self.looks.plan(looks_of(requests))
        if subscription.status is SubscriptionStatus.ACTIVE:
            self.queue.send(requests)


def first_requests(subscription: Subscription, *, longest: timedelta) -> tuple[Request, ...]:
    """Look for everything its time held when it was created; none if that lies ahead.

    Windows of at most `longest`, newest first: the newest before all other work, the older ones after it.
    """
    return requests_back(subscription, start_at=subscription.start_at, end_at=subscription.created_at, longest=longest)


def requests_back(
    subscription: Subscription, *, start_at: datetime, end_at: datetime, longest: timedelta, occasion: str = ""
) -> tuple[Request, ...]:
    """Look for everything acquired in a span, as far as the subscription's own time goes.

    The same span is looked through once for each `occasion`.
    """
    until = end_at if subscription.end_at is None else min(end_at, subscription.end_at)
    requests: list[Request] = []
    for window in _windows(max(start_at, subscription.start_at), until, longest):
        requests.append(
            _request(
                subscription,
                window,
                kind=RequestKind.BACKFILL if requests else RequestKind.INITIAL,
                priority=Priority.LOW if requests else Priority.HIGH,
                now=end_at,
                occasion=occasion,
            )
        )
    return tuple(requests)


def catch_up_request(subscription: Subscription, *, now: datetime) -> Request | None:
    """Look for what was published while nobody looked; None while its time lies ahead.

    One window, however long: only what changed since `checked_through` is asked of the provider.
    """
    until = now if subscription.end_at is None else min(now, subscription.end_at)
    if until < subscription.start_at:
        return None
    window = Window(start_at=subscription.start_at, end_at=until)
    return _request(
        subscription,
        window,
        kind=RequestKind.UPDATE,
        priority=subscription.priority,
        now=now,
        # Where its end is behind it, every pause ends in the same window.
        occasion=format_instant(now),
    )


def looks_of(requests: Sequence[Request]) -> tuple[Look, ...]:
    """What is to be remembered of them."""
    return tuple(
        Look(
            subscription_id=request.subscription_ids[0],
            request_id=request.id,
            kind=request.kind,
            window=request.window,
            planned_at=request.created_at,
        )
        for request in requests
        if request.window is not None
    )


def request_of(look: Look, subscription: Subscription) -> Request:
    """The request that does a look, as it was first sent."""
    priorities = {RequestKind.INITIAL: Priority.HIGH, RequestKind.BACKFILL: Priority.LOW}
    return Request(
        id=look.request_id,
        kind=look.kind,
        priority=priorities.get(look.kind, subscription.priority),
        provider=subscription.provider,
        collection=subscription.collection,
        subscription_ids=(subscription.id,),
        window=look.window,
        created_at=look.planned_at,
    )


def _whole(subscription: Subscription, *, longest: timedelta) -> tuple[Request, ...]:
    """Look through all of its time once more, for its owner's change."""
    return requests_back(
        subscription,
        start_at=subscription.start_at,
        end_at=subscription.updated_at,
        longest=longest,
        occasion=format_instant(subscription.updated_at),
    )


def _begins_again(before: Subscription, after: Subscription) -> bool:
    """Whether it was over, and is to go further."""
    was_over = before.end_at is not None and before.end_at < after.updated_at
    return was_over and before.end_at is not None and (after.end_at is None or after.end_at > before.end_at)


def _may_take_more(before: Subscription, after: Subscription) -> bool:
    """Whether something that was skipped by filter might pass now: a filter is looser, or other pixels are counted."""
    old, new = before.processing, after.processing
    if (old.buffer_m, old.all_touched, old.mask) != (new.buffer_m, new.all_touched, new.mask):
        return True
    was, now = before.filters, after.filters
    return (
        _or_else(100.0, now.max_cloud_cover) > _or_else(100.0, was.max_cloud_cover)
        or _or_else(0.0, now.min_clear_fraction) < _or_else(0.0, was.min_clear_fraction)
        or _or_else(0.0, now.min_coverage) < _or_else(0.0, was.min_coverage)
    )


def _or_else(nothing: float, bound: float | None) -> float:
    """`nothing` is a filter that takes all."""
    return nothing if bound is None else bound


def _windows(start_at: datetime, end_at: datetime, longest: timedelta) -> list[Window]:
    """Newest first. They do not share an instant, so that no item is found by two of them."""
    windows: list[Window] = []
    while start_at <= end_at:
        first = max(start_at, end_at - longest)
        windows.append(Window(start_at=first, end_at=end_at))
        end_at = first - _INSTANT
    return windows


def _request(
    subscription: Subscription,
    window: Window,
    *,
    kind: RequestKind,
    priority: Priority,
    now: datetime,
    occasion: str = "",
) -> Request:
    return Request.for_window(
        kind=kind,
        priority=priority,
        provider=subscription.provider,
        collection=subscription.collection,
        window=window,
        subscription_id=subscription.id,
        now=now,
        occasion=occasion,
    )
