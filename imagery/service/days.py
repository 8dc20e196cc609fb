"""The ledger day by day: a day without an acquisition is explained too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from imagery.errors import InvalidInput
from imagery.model.access import Caller
from imagery.model.day import Day, DayStatus, is_shown
from imagery.model.look import Look
from imagery.model.outcome import BY_FILTER, Outcome, OutcomeQuery, OutcomeStatus
from imagery.model.paging import walk
from imagery.model.subscription import Subscription, SubscriptionStatus
from imagery.ports import Clock
from imagery.service.subscriptions import Subscriptions

MAX_DAYS = 366
USUAL_DAYS = 30

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Days:
    """Answers "why is there no image of 3 May?"."""

    subscriptions: Subscriptions
    late_arrivals: timedelta
    clock: Clock

    def find(
        self, caller: Caller, subscription_id: str, *, first: date | None = None, last: date | None = None
    ) -> tuple[Day, ...]:
        """Every day of the range, newest first; without a range the last thirty, of one that is over before its end.

        Raises SubscriptionUnknown; InvalidInput for a range that ends before it begins, or is longer than MAX_DAYS.
        """
        subscription = self.subscriptions.get(caller, subscription_id)
        last = last or (first + min((USUAL_DAYS - 1) * _DAY, date.max - first) if first else self._newest(subscription))
        first = first or last - min((USUAL_DAYS - 1) * _DAY, last - date.min)
        if last < first:
            raise InvalidInput(f"the range ends ({last}) before it begins ({first})", field="/to")
        if (last - first).days >= MAX_DAYS:
            raise InvalidInput(f"a range holds at most {MAX_DAYS} days; ask for them piece by piece", field="/from")
        account = _Account(
            subscription=subscription,
            looks=self.subscriptions.lookback.looks.of(subscription_id),
            late_arrivals=self.late_arrivals,
            now=self.clock(),
        )
        rows = self._rows(caller, subscription_id, first, last)
        return tuple(account.day(last - n * _DAY, rows[last - n * _DAY]) for n in range((last - first).days + 1))

    def get(self, caller: Caller, subscription_id: str, day: date) -> Day:
        """One day. Raises SubscriptionUnknown."""
        return self.find(caller, subscription_id, first=day, last=day)[0]

    def _newest(self, subscription: Subscription) -> date:
        today = self.clock().date()
        return today if subscription.end_at is None else min(today, subscription.end_at.date())

    def _rows(self, caller: Caller, subscription_id: str, first: date, last: date) -> dict[date, list[Outcome]]:
        query = OutcomeQuery(
            subscription_id=subscription_id,
            acquired_from=datetime.combine(first, time.min, UTC),
            acquired_to=datetime.combine(last, time.max, UTC),
            limit=500,
        )
        rows: dict[date, list[Outcome]] = defaultdict(list)
        for outcome in walk(lambda cursor: self.subscriptions.outcomes(caller, replace(query, cursor=cursor))):
            rows[outcome.acquired_at.astimezone(UTC).date()].append(outcome)
        return rows


@dataclass(frozen=True, kw_only=True)
class _Account:
    """What is known of one subscription."""

    subscription: Subscription
    looks: Sequence[Look]
    late_arrivals: timedelta
    now: datetime

    def day(self, day: date, outcomes: Sequence[Outcome]) -> Day:
        status = DayStatus.DELIVERED if any(map(is_shown, outcomes)) else DayStatus.ACQUIRED
        # What there is to see comes first, then why the rest is not.
        ordered = sorted(outcomes, key=lambda row: row.status is not OutcomeStatus.DELIVERED)
        explanation = "; ".join(map(_how, ordered))
        if not outcomes:
            status, explanation = self._without(day)
        return Day(
            date=day,
            status=status,
            outcomes=tuple(outcomes),
            explanation=f"{day.day} {day:%B} {day.year}: {explanation}.",
        )

    def _without(self, day: date) -> tuple[DayStatus, str]:
        one = self.subscription
        if day < one.start_at.date():
            return DayStatus.OUTSIDE, f"the subscription begins on {one.start_at.date()}"
        if one.end_at is not None and day > one.end_at.date():
            return DayStatus.OUTSIDE, f"the subscription ended on {one.end_at.date()}"
        if day > self.now.date():
            return DayStatus.NOT_LOOKED_YET, "this day lies ahead"
        return self._looked(datetime.combine(day, time.min, UTC), datetime.combine(day, time.max, UTC))

    def _looked(self, begin: datetime, end: datetime) -> tuple[DayStatus, str]:
        through, status = self.subscription.checked_through, self.subscription.status
        waits = any(
            look.done_at is None and look.window.start_at <= end and look.window.end_at >= begin for look in self.looks
        )
        if waits:
            return DayStatus.NOT_LOOKED_YET, "the provider has not been asked for this time yet; it waits for its turn"
        if through is None:
            return DayStatus.NOT_LOOKED_YET, "the provider has not been asked yet"
        as_of = f"as of {through:%Y-%m-%d %H:%M} UTC"
        if end > through:
            if status is not SubscriptionStatus.ACTIVE:
                return DayStatus.NOT_LOOKED_YET, f"the subscription is {status}; the provider was last asked {as_of}"
            return DayStatus.NOT_LOOKED_YET, f"no acquisition so far, {as_of}; the day has not been looked through"
        late = "; one may still be published late" if through < end + self.late_arrivals else ""
        return (
            DayStatus.NO_ACQUISITION,
            f"the provider has no acquisition over this area with the assets asked for, {as_of}{late}",
        )


def _how(outcome: Outcome) -> str:
    said = outcome.explanation.rstrip(".")
    # They may have changed since.
    then = f" by the filters of {outcome.updated_at:%Y-%m-%d}" if outcome.reason in BY_FILTER else ""
    return {
        OutcomeStatus.DELIVERED: f"{outcome.item_id} was {said or 'delivered'}",
        OutcomeStatus.SKIPPED: f"{outcome.item_id} was skipped{then}: {said or outcome.reason}",
        OutcomeStatus.WAITING: f"{outcome.item_id} is waiting: {said or 'its turn has not come'}",
        OutcomeStatus.FAILED: f"{outcome.item_id} failed: {outcome.error}: {said}",
    }[outcome.status]
