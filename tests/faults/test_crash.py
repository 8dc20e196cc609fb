"""The service killed at any point of its work, and started again: it ends as if nothing had happened.

CRASH_EXAMPLES says how many lives it is given, CRASH_SEED other ones than the usual.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pystac_client import Client
from shapely.geometry import mapping, shape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagery.model.deletion import DeletionQuery
from imagery.model.failure import FailureQuery
from imagery.model.outcome import OutcomeQuery
from imagery.model.subscription import SubscriptionQuery
from imagery.sandbox.earth_search import create_app
from imagery.sandbox.scenes import Scene, Scenes
from imagery.sandbox.serving import serving
from imagery.sandbox.shelf import Shelf
from imagery.sandbox.synthetic import make_scenes
from imagery.settings import Settings
from imagery.wiring import Imagery, build
from tests.faults.house import ANA, BEGIN
from tests.faults.nursery import ROOT, Nursery, open_nursery
from tests.faults.story import COLLECTION, NAMES, PHASES, Point, Telling, deliveries, events_of, is_at_rest

EXAMPLES = int(os.environ.get("CRASH_EXAMPLES", "6"))
SEED = int(os.environ.get("CRASH_SEED", "0"))
KILLS = 4
STORY_S = 3.0
"""About how long an undisturbed telling takes."""

TIMES = frozenset({"created", "updated", "processing:datetime"})
"""Properties that say when something was done."""


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


kills = st.permutations([*sorted(PHASES), "any", "any"]).flatmap(lambda order: st.tuples(*map(_kill, order[:KILLS])))
"""Of one story; in different phases, for hypothesis likes to repeat itself."""


@dataclass
class World:
    """What outlives the service: the provider, and a receiver of webhooks."""

    shelf: Shelf
    unpublished: dict[str, Scene]
    published: dict[str, datetime] = field(default_factory=dict)
    told: Counter[str] = field(default_factory=Counter)
    """Event id → how often it was received."""

    calls: int = 0
    """Every fifth is refused, as by a receiver that restarts now and then."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/hooks", self.hear, methods=["POST"]),
                Route("/publish/{scene}", self.publish, methods=["POST"]),
            ]
        )

    async def hear(self, request: Request) -> Response:
        await request.body()
        self.calls += 1
        if self.calls % 5 == 0:
            return Response(status_code=503)
        self.told[request.headers["webhook-id"]] += 1
        return Response(status_code=204)

    async def publish(self, request: Request) -> Response:
        occasion, scene = request.query_params["occasion"], request.path_params["scene"]
        if occasion not in self.published:
            self.published[occasion] = datetime.fromisoformat(request.query_params["now"])
            known = self.unpublished.get(scene) or self.shelf.get(COLLECTION, scene)
            self.shelf.publish(known, now=self.published[occasion])
        return JSONResponse({"at": self.published[occasion].isoformat()})


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a story leaves behind, with the subscriptions' names for their ids and no word of when."""

    subscriptions: dict[str, tuple[str, int]]
    """Name → status and version."""

    ledger: dict[tuple[str, str], Any]
    items: Counter[str]
    objects: dict[str, str]
    events: Counter[str]
    told: Counter[str]
    """Events that reached the receiver, each id once."""

    failures: Counter[str]
    deletions: list[Any]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery("tests.faults.story") as one:
        yield one


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    made = make_scenes(tmp_path_factory.mktemp("crash") / "synthetic", now=BEGIN)
    one_tile = tuple(scene for scene in made.scenes if "_33TWM_" in scene.id)
    return Scenes(scenes=one_tile[:4], collections=made.collections, aoi=made.aoi)


@dataclass(frozen=True, kw_only=True)
class Lives:
    """Tells the story in worlds of their own."""

    nursery: Nursery
    scenes: Scenes
    folder: Path

    def tell(self, name: str, *kills: Kill, counts: dict[str, int] | None = None) -> tuple[Left, list[Kill]]:
        """What is left in the end, and the kills that came in time."""
        present, later = self.scenes.scenes[:2], self.scenes.scenes[2:]
        shelf = Shelf(Scenes(scenes=present, collections=self.scenes.collections))
        world = World(shelf=shelf, unpublished={scene.id: scene for scene in later})
        data_dir = self.folder / name
        data_dir.mkdir()
        with ExitStack() as closing:
            telling = Telling(
                data_dir=str(data_dir),
                sandbox_url=closing.enter_context(serving(create_app(world.shelf))),
                world_url=closing.enter_context(serving(world.app())),
                fields=dict(zip(NAMES, _fields(self.scenes), strict=True)),
                scenes=[scene.id for scene in self.scenes.scenes],
                origin=time.time(),
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
        return left_in(data_dir, world), killed


@pytest.fixture(scope="module")
def lives(nursery: Nursery, scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Lives:
    return Lives(nursery=nursery, scenes=scenes, folder=tmp_path_factory.mktemp("lives"))


@pytest.fixture(scope="module")
def undisturbed(lives: Lives) -> tuple[Left, dict[str, int]]:
    """What an undisturbed telling leaves, and how much it does in each phase."""
    left, _ = lives.tell("undisturbed")
    counts: dict[str, int] = json.loads((lives.folder / "undisturbed" / "counts.json").read_text())
    assert set(counts) == set(PHASES), "a phase is not looked at: its files have moved"
    return left, counts


def test_an_undisturbed_story_leaves_what_it_should(undisturbed: tuple[Left, dict[str, int]], scenes: Scenes) -> None:
    left, _ = undisturbed
    assert left.subscriptions == {"staying": ("active", 3), "too large": ("active", 1)}
    assert {(name, row["status"]) for (name, _), row in left.ledger.items()} == {
        ("staying", "delivered"),
        ("too large", "failed"),
    }
    assert left.items.total() == 4
    assert left.failures.total() == 5, "one for each state of an item"
    assert Counter(event.partition(" ")[0] for event in left.events.elements()) == {
        "imagery.subscription.created": 3,
        "imagery.subscription.updated": 2,
        "imagery.subscription.deleted": 1,
        "imagery.subscription.failed": 6,
        "imagery.item.published": 10,
    }
    assert left.told == left.events
    assert len(left.objects) == 12


@pytest.mark.slow
def test_killed_anywhere_and_started_again_it_ends_the_same(
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
    @given(kills)
    def lived(asked: tuple[Kill, ...]) -> None:
        left, killed = lives.tell(f"story-{tally['stories']}", *asked, counts=counts)
        tally["stories"] += 1
        tally["kills"] += len(killed)
        tally.update(kill.phase or "at a time" for kill in killed)
        differences = list(_differences(left, expected))
        assert not differences, "\n".join([f"after {asked}:", *differences])

    lived()
    print(dict(tally))
    assert tally["kills"] >= EXAMPLES, "the kills came too late to show anything"


def test_nothing_of_pystac_is_left_for_threads_to_load_at_once(tmp_path: Path) -> None:
    # In a process of its own: here others have read documents before.
    program = (
        "import pystac, sys; from pathlib import Path; from imagery.settings import Settings; "
        "from imagery.wiring import build\n"
        "with build(Settings(data_dir=Path(sys.argv[1]))):\n"
        "    loaded = set(pystac.EXTENSION_HOOKS.hooks)\n"
        "    pystac.Collection.from_dict({'type': 'Collection', 'stac_version': '1.0.0', 'id': 'c', 'links': [], "
        "'description': 'c', 'license': 'other', "
        "'extent': {'spatial': {'bbox': [[0, 0, 1, 1]]}, 'temporal': {'interval': [[None, None]]}}})\n"
        "    sys.exit(0 if loaded and set(pystac.EXTENSION_HOOKS.hooks) == loaded else 1)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr.decode()


def left_in(data_dir: Path, world: World) -> Left:
    """Read when nobody is at work."""
    names = {(data_dir / f"{name}.id").read_text(): name for name in NAMES}
    with build(Settings(data_dir=data_dir, public_catalog=True)) as imagery:
        assert is_at_rest(imagery)
        events = {event.id: event for event in events_of(imagery)}
        assert set(deliveries(imagery)) == set(events), "an event nobody is told of"
        described = {event_id: _event(event, names) for event_id, event in events.items()}
        assert set(world.told) <= set(events), "told of what never happened"
        found = imagery.subscriptions.store.find(SubscriptionQuery(limit=100)).values
        failures = imagery.failures.find(ANA, FailureQuery(limit=100)).values
        return Left(
            subscriptions={names[one.id]: (one.status.value, one.version) for one in found},
            ledger=_ledger(imagery, names),
            items=_items(imagery, names),
            objects=_objects(data_dir / "objects", names),
            events=Counter(described.values()),
            told=Counter(described[event_id] for event_id in world.told),
            failures=Counter(
                f"{one.error} {one.request.item_ids} {_named(one.request.subscription_ids, names)}" for one in failures
            ),
            deletions=[
                (_named(one.subscription_id, names), one.acquisitions, one.items, one.finished_at is not None)
                for one in imagery.deletions.find(DeletionQuery(limit=100)).values
            ],
        )


def _fields(scenes: Scenes) -> Iterator[dict[str, Any]]:
    """A field, the country around it, and half the field."""
    field_ = shape(scenes.aoi)
    yield mapping(field_)
    yield mapping(field_.buffer(0.012).envelope)
    yield mapping(field_.buffer(-0.0004))


def _ledger(imagery: Imagery, names: dict[str, str]) -> dict[tuple[str, str], Any]:
    rows = [
        (name, row)
        for subscription, name in names.items()
        for row in imagery.subscriptions.ledger.find(OutcomeQuery(subscription_id=subscription, limit=100)).values
    ]
    return {
        (name, row.item_id): {
            "status": row.status.value,
            "explanation": _named(row.explanation, names),
            "numbers": {key: value for key, value in row.numbers.items() if key != "bytes"},
            "published": _named(row.published_item_id, names),
        }
        for name, row in rows
    }


def _items(imagery: Imagery, names: dict[str, str]) -> Counter[str]:
    """As a search over all pages finds them: pages of two, so that one that slips between two pages shows."""
    with serving(imagery.stac_app(lambda _request: None)) as url:
        found = [item.to_dict(transform_hrefs=False) for item in Client.open(url).search(limit=2).items()]
    return Counter(_named(_timeless({**item, "links": []}), names) for item in found)


def _objects(folder: Path, names: dict[str, str]) -> dict[str, str]:
    """Key → SHA-256, or the words of an item."""
    return {
        _named(str(path.relative_to(folder)), names): _named(_timeless(json.loads(path.read_text())), names)
        if path.name == "item.json"
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _event(event: Any, names: dict[str, str]) -> str:
    what = {key: event.data.get(key) for key in ("item_id", "source_item_ids", "error", "status", "version")}
    return f"{event.type} {_named(what, names)} for {names[event.subscription_id]}"


def _named(value: object, names: dict[str, str]) -> str:
    """Its words, with names for ids."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    for subscription, name in names.items():
        text = text.replace(subscription, f"<{name}>")
    return re.sub(r"127\.0\.0\.1:\d+", "<sandbox>", text)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [_timeless(inner) for inner in value]
    return value.partition("/objects/")[2] or value if isinstance(value, str) else value


def _differences(left: Left, expected: Left) -> Iterator[str]:
    """In words that fit on a screen: hypothesis and pytest cut such values short."""
    for each in fields(Left):
        got, wanted = (_lines(getattr(one, each.name)) for one in (left, expected))
        yield from (f"{each.name} + {line[:500]}" for line in sorted((got - wanted).elements()))
        yield from (f"{each.name} - {line[:500]}" for line in sorted((wanted - got).elements()))


def _lines(value: Any) -> Counter[str]:
    if isinstance(value, Counter):
        return value
    return Counter(map(str, value.items() if isinstance(value, dict) else value))
