"""What every Ledger promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from imagery.errors import CursorInvalid, InvalidInput
from imagery.model.outcome import OutcomeQuery, OutcomeStatus, SkipReason

from .examples import NOW, an_outcome

FINAL = [OutcomeStatus.DELIVERED, OutcomeStatus.SKIPPED, OutcomeStatus.FAILED]
LATER = NOW + timedelta(microseconds=1)


def found(ledger, **query) -> list[str]:
    return [each.item_id for each in ledger.find(OutcomeQuery(subscription_id="sub_1", **query)).values]


def test_a_recorded_outcome_comes_back_equal_after_a_restart(back_end, clock):
    outcome = an_outcome(status=OutcomeStatus.SKIPPED, reason=SkipReason.CLOUDY, explanation="93 % — ☁")
    back_end.open(clock).ledger.record(outcome)
    back_end.close_all()
    assert back_end.open(clock).ledger.get("sub_1", "item") == outcome


def test_there_is_no_outcome_of_an_item_nobody_recorded(ledger):
    ledger.record(an_outcome())
    assert ledger.get("sub_1", "other") is None
    assert ledger.get("sub_2", "item") is None


def test_an_item_has_one_row_a_subscription(ledger):
    ledger.record(an_outcome())
    ledger.record(an_outcome())
    ledger.record(an_outcome(subscription_id="sub_2"))
    assert found(ledger) == ["item"]


@pytest.mark.parametrize("before", [*OutcomeStatus])
@pytest.mark.parametrize("after", FINAL)
@pytest.mark.parametrize("updated_at", [NOW, LATER, None])
def test_a_final_outcome_replaces_any(ledger, before, after, updated_at):
    ledger.record(an_outcome(status=before, source_updated_at=updated_at))
    final = an_outcome(status=after, day=2)
    ledger.record(final)
    assert ledger.get("sub_1", "item") == final
    assert found(ledger, status=after) == ["item"]


@pytest.mark.parametrize("final", FINAL)
@pytest.mark.parametrize(
    ("stored", "waiting"), [(NOW, NOW), (None, None), (LATER, NOW), (NOW, None)], ids=["same", "none", "older", "lost"]
)
def test_waiting_never_hides_a_final_outcome_of_the_same_state_or_a_later_one(ledger, final, stored, waiting):
    outcome = an_outcome(status=final, source_updated_at=stored)
    ledger.record(outcome)
    ledger.record(an_outcome(status=OutcomeStatus.WAITING, source_updated_at=waiting))
    assert ledger.get("sub_1", "item") == outcome


@pytest.mark.parametrize("stored", [NOW, None])
def test_an_item_that_was_updated_is_waited_for_again(ledger, stored):
    ledger.record(an_outcome(source_updated_at=stored))
    again = an_outcome(status=OutcomeStatus.WAITING, source_updated_at=LATER)
    ledger.record(again)
    assert ledger.get("sub_1", "item") == again


def test_what_was_skipped_during_a_pause_is_waited_for_again_by_another_request(ledger):
    skipped = an_outcome(status=OutcomeStatus.SKIPPED, reason=SkipReason.INACTIVE)
    ledger.record(skipped)
    ledger.record(an_outcome(status=OutcomeStatus.WAITING))
    assert ledger.get("sub_1", "item") == skipped
    again = an_outcome(status=OutcomeStatus.WAITING, request_id="req_2")
    ledger.record(again)
    assert ledger.get("sub_1", "item") == again


@pytest.mark.parametrize("reason", [SkipReason.CLOUDY, SkipReason.COVERAGE, SkipReason.UNCLEAR])
def test_what_was_skipped_by_a_filter_is_waited_for_again_by_another_request(ledger, reason):
    skipped = an_outcome(status=OutcomeStatus.SKIPPED, reason=reason)
    ledger.record(skipped)
    ledger.record(an_outcome(status=OutcomeStatus.WAITING))
    assert ledger.get("sub_1", "item") == skipped
    again = an_outcome(status=OutcomeStatus.WAITING, request_id="req_2")
    ledger.record(again)
    assert ledger.get("sub_1", "item") == again


@pytest.mark.parametrize("reason", [SkipReason.OUTSIDE, SkipReason.SUPERSEDED])
def test_what_no_filter_skipped_waits_for_no_other_request(ledger, reason):
    skipped = an_outcome(status=OutcomeStatus.SKIPPED, reason=reason)
    ledger.record(skipped)
    ledger.record(an_outcome(status=OutcomeStatus.WAITING, request_id="req_2"))
    assert ledger.get("sub_1", "item") == skipped


def test_waiting_replaces_waiting(ledger):
    ledger.record(an_outcome(status=OutcomeStatus.WAITING, request_id="req_1"))
    ledger.record(an_outcome(status=OutcomeStatus.WAITING, request_id="req_2"))
    assert ledger.get("sub_1", "item").request_id == "req_2"


def test_the_newest_acquisition_comes_first(ledger):
    for day in (2, 3, 1):
        ledger.record(an_outcome(f"item_{day}", day))
    assert found(ledger) == ["item_3", "item_2", "item_1"]


def test_rows_are_found_by_status_and_time_both_ends_included(ledger):
    for day in (1, 2, 3, 4):
        ledger.record(an_outcome(f"item_{day}", day, status=[*OutcomeStatus][day % 2]))
    second = an_outcome("x", 2).acquired_at
    third = an_outcome("x", 3).acquired_at
    assert found(ledger, acquired_from=second, acquired_to=third) == ["item_3", "item_2"]
    assert found(ledger, acquired_from=second + timedelta(microseconds=1)) == ["item_4", "item_3"]
    assert found(ledger, acquired_to=second - timedelta(microseconds=1)) == ["item_1"]
    assert found(ledger, status=OutcomeStatus.WAITING) == ["item_4", "item_2"]
    assert found(ledger, status=OutcomeStatus.WAITING, acquired_to=third) == ["item_2"]
    assert found(ledger, status=OutcomeStatus.FAILED) == []


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("status", [None, OutcomeStatus.DELIVERED])
def test_pages_together_hold_every_row_once_even_of_one_instant(ledger, limit, status):
    for n in range(5):
        ledger.record(an_outcome(f"item_{n}", day=1 + n // 4))
    query = OutcomeQuery(subscription_id="sub_1", status=status, limit=limit)
    page = ledger.find(query)
    items = [each.item_id for each in page.values]
    while page.next_cursor:
        assert len(page.values) == limit
        page = ledger.find(replace(query, cursor=page.next_cursor))
        items += [each.item_id for each in page.values]
    assert items[0] == "item_4"
    assert sorted(items) == [f"item_{n}" for n in range(5)]


def test_a_cursor_of_another_subscription_or_none_is_refused(ledger):
    for n in range(2):
        ledger.record(an_outcome(f"item_{n}"))
    cursor = ledger.find(OutcomeQuery(subscription_id="sub_1", limit=1)).next_cursor
    for query in (
        OutcomeQuery(subscription_id="sub_2", cursor=cursor),
        OutcomeQuery(subscription_id="sub_1", cursor="garbage"),
    ):
        with pytest.raises(CursorInvalid):
            ledger.find(query)
    with pytest.raises(InvalidInput):
        ledger.find(OutcomeQuery(subscription_id="sub_1", limit=0))


def test_rows_are_counted_by_status(ledger):
    ledger.record(an_outcome("a"))
    ledger.record(an_outcome("b"))
    ledger.record(an_outcome("c", status=OutcomeStatus.WAITING))
    ledger.record(an_outcome("d", subscription_id="sub_2"))
    nothing = dict.fromkeys(OutcomeStatus, 0)
    assert ledger.counts("sub_1") == nothing | {OutcomeStatus.DELIVERED: 2, OutcomeStatus.WAITING: 1}
    assert ledger.counts("sub_nobody") == nothing


def test_a_forgotten_subscription_leaves_the_others_rows(ledger):
    ledger.record(an_outcome())
    ledger.record(an_outcome(subscription_id="sub_10"))
    ledger.remove("sub_1")
    ledger.remove("sub_1")
    assert found(ledger) == []
    assert ledger.get("sub_10", "item") is not None


def test_however_a_final_outcome_and_waiting_race_the_final_one_stands(back_end, clock):
    ledgers = [back_end.open(clock).ledger for _ in range(2)]
    statuses = [OutcomeStatus.WAITING, OutcomeStatus.DELIVERED]

    def record(n: int) -> None:
        ledgers[n // 2 % 2].record(an_outcome(f"item_{n // 2}", status=statuses[n % 2]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(60)))
    assert ledgers[0].counts("sub_1")[OutcomeStatus.DELIVERED] == 30


def test_times_before_the_epoch_and_of_other_zones_keep_their_order(ledger):
    early = an_outcome("early", acquired_at=datetime(1968, 5, 1, tzinfo=UTC))
    ledger.record(an_outcome("late"))
    ledger.record(early)
    assert found(ledger) == ["late", "early"]
    assert ledger.get("sub_1", "early") == early


def test_work_begins_again_on_what_failed_only_under_another_request(ledger):
    failed = an_outcome(status=OutcomeStatus.FAILED, error="RasterUnreadable", request_id="req_1")
    ledger.record(failed)
    ledger.record(an_outcome(status=OutcomeStatus.WAITING, request_id="req_1"))
    assert ledger.get("sub_1", "item") == failed
    replayed = an_outcome(status=OutcomeStatus.WAITING, request_id="req_1-2")
    ledger.record(replayed)
    assert ledger.get("sub_1", "item") == replayed


def test_what_was_delivered_waits_for_no_replay(ledger):
    ledger.record(an_outcome(request_id="req_1"))
    ledger.record(an_outcome(status=OutcomeStatus.WAITING, request_id="req_1-2"))
    assert ledger.get("sub_1", "item").status is OutcomeStatus.DELIVERED
