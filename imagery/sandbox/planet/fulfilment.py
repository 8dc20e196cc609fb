"""Orders taken, moved from state to state as time goes by, made, and told of."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from imagery.model.codec import format_instant
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.book import Row
from imagery.sandbox.planet.calling import Caller
from imagery.sandbox.planet.faults import Fault, Operation, Rule
from imagery.sandbox.planet.making import MANIFEST, make_results
from imagery.sandbox.planet.refusals import no_order, not_cancellable, quota_exceeded
from imagery.sandbox.planet.showing import describe, notices
from imagery.sandbox.planet.wishes import Wish, parse_wish

logger = logging.getLogger(__name__)

_CALL_FAULTS = frozenset(one for one in Fault if one.startswith("webhook-")) - {Fault.WEBHOOK_EARLY}


class Fulfilment:
    """Any thread; only one at a time makes orders."""

    def __init__(self, account: Account, caller: Caller) -> None:
        self._account = account
        self._caller = caller
        self._advancing = threading.Lock()

    def create(self, body: Any, *, url: str) -> dict[str, Any]:
        """The order's description as it is created. Raises Refusal.

        When a rule says `webhook-early` the order is made, and the webhook called, before this returns.
        """
        account, now = self._account, self._account.clock()
        wish = parse_wish(body, {scene.id: scene for scene in account.catalogue.list(now)})
        fault = account.faults.choose(Operation.ORDER, wish.name)
        row = Row(
            id=str(uuid.uuid4()),
            name=wish.name,
            state="queued",
            request=body,
            url=url,
            hectares=wish.hectares,
            created_on=format_instant(now),
            last_modified=format_instant(now),
            next_at=format_instant(now + timedelta(seconds=account.behaviour.queued_s)),
            message="Preparing order",
            fault=None if fault is None else fault.fault.value,
        )
        with account.book.together():
            quota = account.behaviour.quota_hectares
            if quota is not None and account.book.hectares() + row.hectares > quota:
                raise quota_exceeded()
            account.book.save(row)
        created = describe(account, row)
        if wish.webhook_url and account.faults.choose(Operation.WEBHOOK, wish.name, among={Fault.WEBHOOK_EARLY}):
            self._finish_early(row)
        return created

    def cancel(self, order_id: str) -> dict[str, Any]:
        """Raises Refusal: only queued orders can be."""
        book = self._account.book
        with book.together():
            row = book.get(order_id)
            if row is None:
                raise no_order(order_id)
            if row.state != "queued":
                raise not_cancellable()
            row = self._moved(row, "cancelled", "Order cancelled by user", next_at=None)
        return describe(self._account, row)

    def advance(self) -> int:
        """Give every order that is due its next state; how many changed."""
        changed = 0
        with self._advancing:
            for row in self._account.book.due(self._account.clock()):
                self._step(row)
                changed += 1
        return changed

    def _finish_early(self, row: Row) -> None:
        with self._advancing:
            current: Row | None = row
            while current is not None and current.next_at is not None:
                self._step(current)
                current = self._account.book.get(row.id)
        self._caller.call_due()

    def _step(self, row: Row) -> None:
        if row.state == "queued":
            self._start(row)
            return
        try:
            self._finish(row)
        except Exception as error:  # one order that cannot be made must not keep the others waiting
            logger.exception("an order could not be made", extra={"order_id": row.id})
            self._moved(row, "failed", _failure(f"{type(error).__name__} while making the order"), next_at=None)

    def _start(self, row: Row) -> None:
        account = self._account
        with account.book.together():
            current = account.book.get(row.id)
            if current is None or current.state != "queued":  # cancelled meanwhile
                return
            if row.fault == Fault.ORDER_CANCELLED:
                self._moved(row, "cancelled", "Order cancelled by Planet", next_at=None)
                return
            ends_at = account.clock() + timedelta(seconds=account.behaviour.running_s)
            self._moved(row, "running", "starting", next_at=None if row.fault == Fault.ORDER_STUCK else ends_at)

    def _finish(self, row: Row) -> None:
        account, now = self._account, self._account.clock()
        wish = parse_wish(row.request, {scene.id: scene for scene in account.catalogue.list(now)})
        if row.fault == Fault.ORDER_FAILED:
            self._end(row, wish, state="failed", message=_failure("the order could not be processed"))
            return
        made = make_results(
            account.folder / row.id,
            row.id,
            wish,
            now=now,
            without_last=row.fault == Fault.ORDER_PARTIAL,
            wrong_digests=row.fault == Fault.WRONG_DIGEST,
        )
        if not made.paths:
            self._end(row, wish, state="failed", message=_failure("; ".join(made.hints)))
            return
        paths = made.paths
        if row.fault == Fault.NO_MANIFEST:
            paths = tuple(path for path in paths if path != MANIFEST)
        row = replace(row, results=paths, hints=made.hints)
        self._end(row, wish, state="partial" if made.hints else "success", message="Manifest delivery completed")

    def _end(self, row: Row, wish: Wish, *, state: str, message: str) -> None:
        with self._account.book.together():
            row = self._moved(row, state, message, next_at=None)
            if wish.webhook_url is not None:
                self._plan_calls(row, wish, wish.webhook_url)

    def _plan_calls(self, row: Row, wish: Wish, url: str) -> None:
        account, now = self._account, self._account.clock()
        for body in notices(account, row, is_per_order=wish.is_per_order):
            rule = account.faults.choose(Operation.WEBHOOK, wish.name, among=_CALL_FAULTS)
            fault = None if rule is None else rule.fault
            if fault is Fault.WEBHOOK_LOST:
                account.book.plan_call(row.id, url, body, due_at=None, outcome="lost")
                continue
            for _ in range(2 if fault is Fault.WEBHOOK_TWICE else 1):
                account.book.plan_call(row.id, url, _spoilt(body, row, rule), due_at=_due(now, rule), outcome=None)

    def _moved(self, row: Row, state: str, message: str, *, next_at: datetime | None) -> Row:
        moved = replace(
            row,
            state=state,
            message=message,
            last_modified=format_instant(self._account.clock()),
            next_at=None if next_at is None else format_instant(next_at),
        )
        self._account.book.save(moved)
        return moved


def _failure(message: str) -> str:
    """As recorded: JSON in the text, and no hints."""
    return f"Status 400, {json.dumps({'field': None, 'general': [{'message': f'Unable to accept order: {message}'}]})}"


def _due(now: datetime, rule: Rule | None) -> datetime:
    late = rule is not None and rule.fault is Fault.WEBHOOK_LATE
    return now + timedelta(seconds=rule.seconds) if late and rule is not None else now


def _spoilt(body: str, row: Row, rule: Rule | None) -> str:
    if rule is not None and rule.fault is Fault.WEBHOOK_WRONG_ORDER:
        return body.replace(row.id, str(uuid.uuid4()))
    if rule is not None and rule.fault is Fault.WEBHOOK_GARBAGE:
        return body[: len(body) // 2]
    return body
