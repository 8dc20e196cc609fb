"""A local Planet opened on a folder: its scenes, what it remembers, and the threads that make orders and call back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imagery.ports import Clock
from imagery.sandbox.planet.account import Account
from imagery.sandbox.planet.behaviour import Behaviour, Manners
from imagery.sandbox.planet.book import Book
from imagery.sandbox.planet.calling import Caller
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Faults
from imagery.sandbox.planet.fulfilment import Fulfilment
from imagery.sandbox.planet.limits import Limits
from imagery.sandbox.planet.links import Links
from imagery.sandbox.planet.real import load_real_scenes
from imagery.sandbox.planet.synthetic import make_scenes

logger = logging.getLogger(__name__)

TICK_S = 0.03


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class LocalPlanet:
    """What `create_planet_app` serves, and what a test turns."""

    account: Account
    fulfilment: Fulfilment
    caller: Caller
    limits: Limits

    def turn(self) -> int:
        """Do all that is due now, orders and calls; how much it was. For tests that move the clock themselves."""
        done = 0
        while step := self.fulfilment.advance() + self.caller.call_due():
            done += step
        return done


@contextmanager
def open_planet(
    workdir: Path,
    *,
    data: Path | None = None,
    catalogue: Catalogue | None = None,
    api_key: str | None = None,
    behaviour: Behaviour | None = None,
    faults: Faults | None = None,
    clock: Clock = _now,
    monotonic: Callable[[], float] = time.monotonic,
    turns_itself: bool = True,
) -> Iterator[LocalPlanet]:
    """Open a Planet whose orders, results and searches are kept in `workdir`: opened again, it goes on with them.

    Its scenes are those of `catalogue`, or real ones below `data`, or synthetic ones made once in `workdir`. Without
    `turns_itself` no thread is started, and nothing happens until `turn` is called. Behaviour and faults are not kept.
    Raises InvalidInput when `data` holds no scene.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        if catalogue is None:
            catalogue = (
                make_scenes(workdir / "scenes", now=clock())
                if data is None
                else load_real_scenes(data, workdir / "masks")
            )
        book = Book(workdir / "planet.sqlite")
        closing.callback(book.close)
        account = Account(
            catalogue=catalogue,
            book=book,
            links=Links(book.secret()),
            faults=Faults() if faults is None else faults,
            manners=Manners(behaviour),
            clock=clock,
            folder=workdir / "results",
            api_key=api_key,
        )
        caller = Caller(account)
        closing.callback(caller.close)
        fulfilment = Fulfilment(account, caller)
        if turns_itself:
            closing.enter_context(_repeating("planet-orders", fulfilment.advance))
            closing.enter_context(_repeating("planet-webhooks", caller.call_due))
        yield LocalPlanet(account=account, fulfilment=fulfilment, caller=caller, limits=Limits(monotonic=monotonic))


@contextmanager
def _repeating(name: str, work: Callable[[], object]) -> Iterator[None]:
    """`work` again and again in a thread, for as long as the block lasts."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(TICK_S):
            try:
                work()
            except Exception:  # the sandbox goes on: what is due stays due, and is tried again
                logger.exception("the local Planet stumbled")

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
