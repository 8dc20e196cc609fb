"""The service killed at any point of its orders' lives, and started again: never two orders for one purpose, never a
lost delivery.

CRASH_EXAMPLES says how many lives it is given, CRASH_SEED other ones than the usual.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from imagery.model.failure import FailureQuery
from imagery.model.order import OrderQuery, OrderStatus
from imagery.model.outcome import OutcomeQuery, OutcomeStatus
from imagery.model.subscription import SubscriptionQuery
from imagery.sandbox.planet.app import create_planet_app
from imagery.sandbox.planet.behaviour import Behaviour
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Fault, Faults, Operation, Rule
from imagery.sandbox.planet.opening import open_planet
from imagery.sandbox.serving import serving
from imagery.wiring import build
from tests.faults.house import ANA, FastClock
from tests.faults.nursery import Nursery, open_nursery
from tests.faults.planet_house import some_scenes
from tests.faults.planet_story import PHASES, SPEED, Telling, settings_of
from tests.faults.story import Point

EXAMPLES = int(os.environ.get("CRASH_EXAMPLES", "8"))
SEED = int(os.environ.get("CRASH_SEED", "0"))
KILLS = 3
SCENES = 2
STORY_S = 3.0
"""About how long an undisturbed telling takes."""

ASTRAY = (Fault.WEBHOOK_LOST, Fault.WEBHOOK_TWICE, Fault.WEBHOOK_EARLY, Fault.WEBHOOK_LATE)


@dataclass(frozen=True, kw_only=True)
class Kill:
    """Where a life ends: after a point of a phase, this far through what a telling does in it; or after a time."""

    phase: str | None = None
    share: float = 0.0
    after_s: float | None = None

    def at(self, telling: Telling, counts: dict[str, int], earlier: int) -> Telling:
        """Each of the `earlier` lives has left less to do."""
        if self.phase is None:
            return replace(telling, after_s=self.after_s)
        number = 1 + int(self.share * counts[self.phase] / (1 + earlier))
        return replace(telling, point=Point(phase=self.phase, number=number))


shares = st.integers(0, 999).map(lambda number: number / 1000)


def _kill(phase: str) -> st.SearchStrategy[Kill]:
    if phase == "any":
        return st.builds(Kill, after_s=shares.map(lambda share: share * STORY_S))
    return st.builds(Kill, phase=st.just(phase), share=shares)


kills = st.permutations([*sorted(PHASES), "ordering", "asking", "any"]).flatmap(
    lambda order: st.tuples(*map(_kill, order[:KILLS]))
)
"""Of one story; in different phases, for hypothesis likes to repeat itself."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a story leaves behind."""

    bought: list[int]
    """Orders at Planet under each name."""

    orders: Counter[OrderStatus]
    outcomes: Counter[OutcomeStatus]
    published: int
    files: Counter[str]
    failures: list[str]
    downloads: int


@dataclass(frozen=True, kw_only=True)
class Lives:
    """Tells the story in worlds of their own."""

    nursery: Nursery
    scenes: Catalogue
    folder: Path

    def tell(
        self, name: str, *kills: Kill, counts: dict[str, int] | None = None, astray: Fault | None = None
    ) -> tuple[Left, list[Kill]]:
        """What is left in the end, and the kills that came in time."""
        folder = self.folder / name
        (folder / "service").mkdir(parents=True)
        origin = time.time()
        rules = [Rule(fault=astray, operation=Operation.WEBHOOK, probability=0.5, seconds=60)] if astray else []
        with ExitStack() as closing:
            planet = closing.enter_context(
                open_planet(
                    folder / "planet",
                    catalogue=self.scenes,
                    behaviour=Behaviour(rate_scale=0.0, queued_s=2.0, running_s=2.0),
                    faults=Faults(*rules),
                    clock=FastClock(speed=SPEED, origin=origin),
                )
            )
            assert self.scenes.aoi is not None
            telling = Telling(
                data_dir=str(folder / "service"),
                planet_url=closing.enter_context(serving(create_planet_app(planet))),
                port=_free_port(),
                aoi=dict(self.scenes.aoi),
                scenes=SCENES,
                origin=origin,
            )
            killed: list[Kill] = []
            for kill in kills:
                code = self.nursery.live(kill.at(telling, counts or {}, len(killed)))
                assert code in (0, -9), f"the service ended with {code}, which nobody asked of it"
                if code == 0:
                    break  # the story has come to its end
                killed.append(kill)
            if len(killed) == len(kills):
                assert self.nursery.live(telling) == 0, "the story could not be told to its end"
            return left_in(telling, list(planet.account.book.count_by_name().values())), killed


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    folder = tmp_path_factory.mktemp("planet-lives")
    with open_nursery("tests.faults.planet_story") as nursery:
        yield Lives(nursery=nursery, scenes=some_scenes(folder / "scenes", SCENES), folder=folder)


@pytest.fixture(scope="module")
def undisturbed(lives: Lives) -> tuple[Left, dict[str, int]]:
    """What an undisturbed telling leaves, and how much it does in each phase."""
    left, _ = lives.tell("undisturbed")
    counts: dict[str, int] = json.loads((lives.folder / "undisturbed" / "service" / "counts.json").read_text())
    assert set(counts) == set(PHASES), "a phase is not looked at: its files have moved"
    return left, counts


def test_an_undisturbed_story_leaves_what_it_should(undisturbed: tuple[Left, dict[str, int]]) -> None:
    left, _ = undisturbed
    assert left == Left(
        bought=[1] * SCENES,
        orders=Counter({OrderStatus.SUCCEEDED: SCENES}),
        outcomes=Counter({OutcomeStatus.DELIVERED: SCENES}),
        published=SCENES,
        files=Counter(
            dict.fromkeys(("ortho_analytic_4b_sr.tif", "ortho_udm2.tif", "thumbnail.png", "item.json"), SCENES)
        ),
        failures=[],
        downloads=0,
    )


@pytest.mark.slow
def test_killed_anywhere_each_acquisition_is_bought_once_and_delivered(
    lives: Lives, undisturbed: tuple[Left, dict[str, int]]
) -> None:
    expected, counts = undisturbed
    tally: Counter[str] = Counter()

    @hypothesis.seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kills, st.sampled_from([None, *ASTRAY]))
    def lived(asked: tuple[Kill, ...], astray: Fault | None) -> None:
        tally["stories"] += 1
        left, killed = lives.tell(f"story-{tally['stories']}", *asked, counts=counts, astray=astray)
        tally["kills"] += len(killed)
        tally.update(kill.phase or "at a time" for kill in killed)
        assert left == expected, f"after {asked}, {astray}"

    lived()
    print(dict(tally))
    assert tally["kills"] >= EXAMPLES, "the kills came too late to show anything"


def left_in(telling: Telling, bought: list[int]) -> Left:
    """Read when nobody is at work."""
    chosen = settings_of(telling)
    with build(chosen) as imagery:
        (subscription,) = imagery.subscriptions.store.find(SubscriptionQuery()).values
        rows = imagery.subscriptions.ledger.find(OutcomeQuery(subscription_id=subscription.id)).values
        items = [imagery.catalog.get("PSScene", row.published_item_id or "") for row in rows]
        return Left(
            bought=bought,
            orders=Counter(order.status for order in imagery.orders.find(OrderQuery()).values),
            outcomes=Counter(row.status for row in rows),
            published=sum(item is not None for item in items),
            files=Counter(path.name for path in (chosen.data_dir / "objects").rglob("*") if path.is_file()),
            failures=[failure.cause for failure in imagery.failures.find(ANA, FailureQuery()).values],
            downloads=sum(path.is_file() for path in (chosen.data_dir / "downloads").rglob("*")),
        )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
