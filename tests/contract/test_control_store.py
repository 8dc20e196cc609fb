"""What every ControlStore and UsageStore promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

from imagery.model.control import Pause, Usage

from .examples import NOW

MINUTE = timedelta(minutes=1)
A_MOMENT = timedelta(microseconds=1)
DAY = date(2026, 5, 1)


def test_a_pause_outlives_a_restart_with_who_when_and_why(back_end, clock):
    pause = Pause(at=NOW, by="ana", reason="disk ☂")

    back_end.open(clock).controls.pause(pause)
    back_end.close_all()

    assert back_end.open(clock).controls.paused() == pause


def test_the_first_pause_stands_until_it_is_ended(opened):
    first = opened.controls.pause(Pause(at=NOW, by="ana", reason="disk"))

    assert opened.controls.pause(Pause(at=NOW + MINUTE, by="ben")) == first == opened.controls.paused()


def test_resuming_ends_the_pause_for_all_processes_and_may_be_repeated(back_end, opened, clock):
    opened.controls.pause(Pause(at=NOW, by="ana"))

    elsewhere = back_end.open(clock).controls
    elsewhere.resume()
    elsewhere.resume()

    assert opened.controls.paused() is None


def test_starts_are_granted_up_to_the_limit_of_any_span(opened):
    usage = opened.usage
    assert usage.admit(3, limit=5, span=MINUTE, now=NOW) == 3
    assert usage.admit(3, limit=5, span=MINUTE, now=NOW + MINUTE / 2) == 2
    assert usage.admit(1, limit=5, span=MINUTE, now=NOW + MINUTE - A_MOMENT) == 0

    assert usage.admit(9, limit=5, span=MINUTE, now=NOW + MINUTE) == 3
    assert usage.admitted(span=MINUTE, now=NOW + MINUTE) == (5, NOW + MINUTE / 2)


def test_starts_are_remembered_over_a_restart(back_end, clock):
    back_end.open(clock).usage.admit(5, limit=5, span=MINUTE, now=NOW)
    back_end.close_all()

    assert back_end.open(clock).usage.admit(1, limit=5, span=MINUTE, now=NOW + A_MOMENT) == 0


def test_starts_taken_at_once_never_exceed_the_limit(back_end, clock):
    stores = [back_end.open(clock).usage for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        granted = threads.map(lambda store: [store.admit(3, limit=20, span=MINUTE, now=NOW) for _ in range(5)], stores)

    assert sum(map(sum, granted)) == 20


def test_a_limit_that_was_lowered_grants_nothing_instead_of_less_than_nothing(opened):
    opened.usage.admit(5, limit=5, span=MINUTE, now=NOW)

    assert opened.usage.admit(1, limit=2, span=MINUTE, now=NOW) == 0


def test_a_clock_that_is_set_back_by_hours_stops_no_starts_for_hours(opened):
    opened.usage.admit(5, limit=5, span=MINUTE, now=NOW + timedelta(hours=3))

    assert opened.usage.admitted(span=MINUTE, now=NOW) == (0, None)
    assert opened.usage.admit(5, limit=5, span=MINUTE, now=NOW) == 5


def test_a_clock_that_is_set_back_by_seconds_lets_no_more_through(opened):
    opened.usage.admit(5, limit=5, span=MINUTE, now=NOW + MINUTE / 2)

    assert opened.usage.admit(1, limit=5, span=MINUTE, now=NOW) == 0


def test_nothing_was_admitted_before_the_first(opened):
    assert opened.usage.admitted(span=MINUTE, now=NOW) == (0, None)


def test_bytes_add_up_by_day_and_over_a_restart(back_end, clock):
    usage = back_end.open(clock).usage
    usage.add(DAY, Usage(bytes_read=2**40, bytes_written=1))
    usage.add(DAY, Usage(bytes_read=5))
    usage.add(date(2026, 5, 2), Usage(bytes_written=7))
    back_end.close_all()

    usage = back_end.open(clock).usage
    assert usage.on(DAY) == Usage(bytes_read=2**40 + 5, bytes_written=1)
    assert usage.on(date(2026, 5, 3)) == Usage()
    assert usage.total() == Usage(bytes_read=2**40 + 5, bytes_written=8)
