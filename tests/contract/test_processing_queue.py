"""What every ProcessingQueue promises."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from imagery.model.subscription import Priority
from imagery.ports import AGING_INTERVAL, VISIBILITY_TIMEOUT

from .examples import a_request

A_MOMENT = timedelta(microseconds=1)


def names(queue, limit: int = 100) -> list[str]:
    """What is received, by the item asked for."""
    return [message.request.item_ids[0] for message in queue.receive(limit)]


def test_a_sent_request_comes_back_equal_after_a_restart(back_end, clock):
    request = a_request(labels={"é": "☂"})
    back_end.open(clock).queue.send([request])
    back_end.close_all()
    (message,) = back_end.open(clock).queue.receive(10)
    assert (message.request, message.deliveries) == (request, 1)


def test_an_empty_queue_gives_nothing(queue):
    queue.send([])
    assert queue.receive(10) == queue.peek(10) == ()
    assert queue.depth() == {Priority.HIGH: 0, Priority.NORMAL: 0, Priority.LOW: 0}


@pytest.mark.parametrize("limit", [0, -1])
def test_asked_for_nothing_it_gives_nothing(queue, limit):
    queue.send([a_request()])
    assert queue.receive(limit) == queue.peek(limit) == ()


def test_a_request_that_is_queued_already_is_passed_over(queue):
    queue.send([a_request("a"), a_request("a")])
    queue.send([a_request("a"), a_request("b")])
    (first, second) = queue.receive(10)
    queue.send([a_request("a")])
    assert [first.request.item_ids, second.request.item_ids] == [("a",), ("b",)]
    assert queue.receive(10) == ()


def test_a_request_may_come_again_after_it_was_acknowledged(queue):
    queue.send([a_request("a")])
    queue.acknowledge(queue.receive(1)[0].receipt)
    queue.send([a_request("a")])
    assert names(queue) == ["a"]


def test_all_requests_of_one_send_are_queued_or_none(queue):
    with pytest.raises(Exception):  # noqa: B017 - whatever it raises, nothing may stay
        queue.send([a_request("a"), a_request("b", labels={"a": object()})])
    assert queue.receive(10) == ()


def test_high_comes_before_normal_before_low_and_the_oldest_first(queue, clock):
    for priority in reversed(Priority):
        for n in (1, 2):
            queue.send([a_request(f"{priority.value} {n}", priority)])
            clock.advance(A_MOMENT)
    assert names(queue) == ["high 1", "high 2", "normal 1", "normal 2", "low 1", "low 2"]


def test_those_sent_together_come_in_the_order_they_were_sent(queue):
    sent = [f"item {n}" for n in (5, 3, 4, 1, 2)]
    queue.send([a_request(name) for name in sent])
    assert names(queue, 3) + names(queue, 3) == sent


@pytest.mark.parametrize(
    ("patient", "urgent", "head_start"),
    [
        (Priority.NORMAL, Priority.HIGH, AGING_INTERVAL),
        (Priority.LOW, Priority.NORMAL, AGING_INTERVAL),
        (Priority.LOW, Priority.HIGH, 2 * AGING_INTERVAL),
    ],
)
def test_a_request_is_overtaken_only_by_those_that_came_within_the_head_start(
    queue, clock, patient, urgent, head_start
):
    queue.send([a_request("patient", patient)])
    clock.advance(head_start - A_MOMENT)
    queue.send([a_request("just in time", urgent)])
    clock.advance(2 * A_MOMENT)
    queue.send([a_request("too late", urgent)])
    assert names(queue) == ["just in time", "patient", "too late"]


def test_a_low_request_is_not_starved_by_a_stream_of_high_ones(queue, clock):
    queue.send([a_request("low", Priority.LOW)])
    for minute in range(200):
        queue.send([a_request(f"high {minute}.{n}", Priority.HIGH) for n in range(3)])
        clock.advance(timedelta(minutes=1))
        (message,) = queue.receive(1)  # slower than they come in
        queue.acknowledge(message.receipt)
        if message.request.priority is Priority.LOW:
            break
    else:
        pytest.fail("it never came")
    # Those of the 30 minutes after it go first, 90 of them; not one of those that came since.
    assert minute == 90


def test_a_received_request_is_hidden_until_its_timeout_ends(queue, clock):
    queue.send([a_request("a")])
    (first,) = queue.receive(10)
    clock.advance(VISIBILITY_TIMEOUT - A_MOMENT)
    assert queue.receive(10) == queue.peek(10) == ()
    clock.advance(A_MOMENT)
    assert queue.peek(10) == (first.request,)
    (second,) = queue.receive(10)
    assert second.request == first.request
    assert second.receipt != first.receipt
    assert second.deliveries == 2


def test_a_timed_out_request_keeps_its_place_among_the_waiting(queue, clock):
    queue.send([a_request("a"), a_request("b")])
    queue.receive(1)
    clock.advance(VISIBILITY_TIMEOUT)
    queue.send([a_request("c"), a_request("urgent", Priority.HIGH)])
    assert [each.item_ids[0] for each in queue.peek(10)] == ["urgent", "a", "b", "c"]
    assert names(queue, 2) + names(queue, 2) == ["urgent", "a", "b", "c"]


def test_an_acknowledged_request_never_comes_again(queue, clock):
    queue.send([a_request("a")])
    (message,) = queue.receive(1)
    queue.acknowledge(message.receipt)
    queue.acknowledge(message.receipt)
    clock.advance(2 * VISIBILITY_TIMEOUT)
    assert queue.receive(10) == ()
    assert sum(queue.depth().values()) == 0


def test_a_released_request_is_there_at_once(queue):
    queue.send([a_request("a")])
    (first,) = queue.receive(1)
    queue.release(first.receipt)
    (second,) = queue.receive(1)
    assert (second.request, second.deliveries) == (first.request, 2)


def test_an_old_receipt_does_nothing_once_another_holds_the_request(queue, clock):
    queue.send([a_request("a")])
    (stale,) = queue.receive(1)
    clock.advance(VISIBILITY_TIMEOUT)
    (held,) = queue.receive(1)
    queue.release(stale.receipt)
    assert queue.receive(1) == ()
    queue.acknowledge(stale.receipt)
    queue.release(held.receipt)
    assert names(queue) == ["a"]


def test_a_receipt_that_is_late_still_counts_while_nobody_else_holds_the_request(queue, clock):
    queue.send([a_request("a"), a_request("b", Priority.HIGH)])
    first = {message.request.item_ids[0]: message.receipt for message in queue.receive(2)}
    clock.advance(VISIBILITY_TIMEOUT)
    assert names(queue, 1) == ["b"]
    queue.acknowledge(first["a"])
    assert queue.receive(10) == ()


def test_an_unknown_receipt_does_nothing(queue):
    queue.send([a_request("a")])
    queue.acknowledge("nobody's")
    queue.release("nobody's")
    assert names(queue) == ["a"]


def test_depth_counts_by_priority_those_in_hand_included(queue):
    queue.send([a_request("a"), a_request("b"), a_request("c", Priority.LOW), a_request("a")])
    (message, _) = queue.receive(2)
    assert queue.depth() == {Priority.HIGH: 0, Priority.NORMAL: 2, Priority.LOW: 1}
    queue.acknowledge(message.receipt)
    assert queue.depth() == {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 1}


def test_the_oldest_of_each_priority_is_known_by_when_it_was_sent(queue, clock):
    sent_at = clock()
    queue.send([a_request("first", Priority.LOW), a_request("second", Priority.HIGH)])
    clock.advance(timedelta(minutes=1))
    queue.send([a_request("later", Priority.LOW)])

    assert queue.oldest() == {Priority.HIGH: sent_at, Priority.LOW: sent_at}


def test_the_oldest_counts_while_it_is_in_somebodys_hands_and_no_longer_once_done(queue, clock):
    sent_at = clock()
    queue.send([a_request("first"), a_request("second")])
    clock.advance(timedelta(minutes=1))
    queue.send([a_request("third")])
    messages = queue.receive(2)

    assert queue.oldest() == {Priority.NORMAL: sent_at}
    for message in messages:
        queue.acknowledge(message.receipt)
    assert queue.oldest() == {Priority.NORMAL: clock()}
    queue.acknowledge(queue.receive(1)[0].receipt)
    assert queue.oldest() == {}


def test_peeking_takes_nothing(queue):
    queue.send([a_request("a"), a_request("b", Priority.HIGH)])
    assert [each.item_ids[0] for each in queue.peek(1)] == ["b"]
    assert [each.item_ids[0] for each in queue.peek(10)] == ["b", "a"]
    assert names(queue) == ["b", "a"]


def test_threads_that_receive_at_once_never_hold_the_same_request(back_end, clock):
    queues = [back_end.open(clock).queue for _ in range(2)]
    sent = [f"item {n}" for n in range(60)]
    queues[0].send([a_request(name) for name in sent])

    def take(n: int) -> list[str]:
        return names(queues[n % 2], 3)

    with ThreadPoolExecutor(8) as pool:
        taken = [name for batch in pool.map(take, range(24)) for name in batch]
    assert sorted(taken) == sorted(sent)


def test_processes_that_work_at_once_do_everything_once(back_end, opened):
    sent = Counter(f"item_{n}" for n in range(60))
    opened.queue.send([a_request(name) for name in sent])
    script = """
while messages := opened.queue.receive(2):
    for message in messages:
        print(message.request.item_ids[0])
        opened.queue.acknowledge(message.receipt)
"""
    processes = [back_end.start(script) for _ in range(3)]
    done = Counter(name for process in processes for name in process.communicate(timeout=60)[0].split())
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert done == sent
    assert sum(opened.queue.depth().values()) == 0
