"""What every LookStore promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from imagery.model.look import Look
from imagery.model.request import RequestKind, Window

from .examples import NOW, a_subscription

LATER = NOW + timedelta(days=1)


def a_look(number: int = 1, **changes) -> Look:
    """Those with a higher number reach further back and were planned later."""
    window = Window(start_at=NOW - timedelta(days=number + 1), end_at=NOW - timedelta(days=number))
    look = Look(
        subscription_id=a_subscription().id,
        request_id=f"req_{number}",
        kind=RequestKind.BACKFILL,
        window=window,
        planned_at=NOW + timedelta(seconds=number),
    )
    return replace(look, **changes)


@pytest.fixture
def looks(opened):
    for number in (1, 2):
        opened.subscriptions.add(a_subscription(number))
    return opened.looks


def test_looks_come_back_equal_newest_window_first(looks):
    planned = [a_look(number) for number in (3, 1, 2)]
    looks.plan(planned)
    assert looks.of(a_subscription().id) == (a_look(1), a_look(2), a_look(3))
    assert looks.of("sub_unknown") == ()


def test_a_look_is_done_once_and_planning_it_again_undoes_nothing(looks):
    looks.plan([a_look()])
    looks.done("req_1", now=NOW)
    looks.done("req_1", now=LATER)
    looks.plan([a_look()])
    assert looks.of(a_subscription().id) == (a_look(done_at=NOW),)


def test_doing_a_look_nobody_planned_does_nothing(looks):
    looks.done("req_9", now=NOW)
    assert looks.of(a_subscription().id) == ()


def test_pending_looks_are_those_of_a_kind_planned_before_in_pages(looks):
    looks.plan([a_look(number) for number in range(1, 8)])
    looks.plan([a_look(8, kind=RequestKind.INITIAL), a_look(9, planned_at=LATER)])
    looks.done("req_3", now=NOW)
    first = looks.pending(RequestKind.BACKFILL, planned_before=LATER, limit=4)
    rest = looks.pending(RequestKind.BACKFILL, planned_before=LATER, limit=4, after=first[-1])
    assert [look.request_id for look in first] == ["req_1", "req_2", "req_4", "req_5"]
    assert [look.request_id for look in rest] == ["req_6", "req_7"]
    assert [look.request_id for look in looks.pending(RequestKind.INITIAL, planned_before=LATER, limit=9)] == ["req_8"]


def test_looks_go_with_their_subscription(looks, opened):
    looks.plan([a_look(1), a_look(2, subscription_id=a_subscription(2).id)])
    opened.subscriptions.remove(a_subscription().id)
    assert looks.of(a_subscription().id) == ()
    assert len(looks.of(a_subscription(2).id)) == 1
