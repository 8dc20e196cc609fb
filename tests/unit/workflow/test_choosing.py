"""Which items make the product of an acquisition; what each shows is given as a set of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations
from random import Random

import pystac
from hypothesis import given
from hypothesis import strategies as st

from imagery.items.acquisition import Acquisition, Rank
from imagery.workflow.choosing import Candidate, Choice, choose

PIXELS = 1000
Shown = dict[str, set[int]]


def candidate(
    name: str,
    shown: set[int],
    *,
    tile: str | None = None,
    level: int = 2,
    baseline: tuple[int, ...] = (5, 9),
    likeness: str = "",
) -> Candidate:
    item = pystac.Item(id=name, geometry=None, bbox=None, datetime=datetime(2026, 4, 20, tzinfo=UTC), properties={})
    rank = Rank(level=level, baseline=baseline, item_id=name)
    acquisition = Acquisition(id="one", tile=tile or name, rank=rank)
    return Candidate(item=item, acquisition=acquisition, coverage=len(shown) / PIXELS, likeness=likeness)


def chosen(seen: Sequence[Candidate], shown: Shown, wanted: float | None = None) -> Choice:
    def union(candidates: Sequence[Candidate]) -> float:
        return len(set().union(*(shown[one.item.id] for one in candidates))) / PIXELS

    return choose(seen, union=union, rounding=0.005, wanted=wanted)


def names(choice: Choice) -> list[str]:
    return [one.item.id for one in choice.sources]


def test_a_tile_that_shows_all_is_enough() -> None:
    shown = {"a": set(range(700)), "b": set(range(1000))}

    assert names(chosen([candidate(name, shown[name]) for name in shown], shown)) == ["b"]


def test_of_two_that_show_the_same_the_name_decides_in_whatever_order_they_come() -> None:
    shown = {"a": set(range(1000)), "b": set(range(1000))}
    seen = [candidate(name, shown[name]) for name in shown]

    assert [names(chosen(order, shown)) for order in permutations(seen)] == [["a"], ["a"]]


def test_tiles_that_show_parts_become_a_mosaic_with_the_best_on_top() -> None:
    shown = {"a": set(range(400)), "b": set(range(300, 1000))}

    choice = chosen([candidate(name, shown[name]) for name in shown], shown)

    assert (names(choice), choice.coverage) == (["b", "a"], 1.0)


def test_a_tile_that_adds_nothing_is_left_out_of_the_mosaic() -> None:
    shown = {"a": set(range(600)), "b": set(range(500, 1000)), "c": set(range(300, 700))}

    assert names(chosen([candidate(name, shown[name]) for name in shown], shown)) == ["a", "b"]


def test_what_rounding_can_make_is_not_worth_a_mosaic_unless_it_is_wanted() -> None:
    shown = {"a": set(range(996)), "b": set(range(900, 1000))}
    seen = [candidate(name, shown[name]) for name in shown]

    assert names(chosen(seen, shown)) == ["a"]
    assert names(chosen(seen, shown, wanted=0.996)) == ["a"]
    assert names(chosen(seen, shown, wanted=0.998)) == ["a", "b"]
    assert names(chosen(seen[:1], shown, wanted=0.998)) == ["a"], "there is no more to be had"


def test_the_newest_processing_of_a_tile_counts_alone() -> None:
    shown = {"old": set(range(1000)), "new": set(range(998))}
    seen = [candidate("old", shown["old"], tile="t", baseline=(2, 14)), candidate("new", shown["new"], tile="t")]

    assert names(chosen(seen, shown)) == ["new"]


def test_between_tiles_that_show_the_same_the_newer_processor_decides() -> None:
    shown = {"a": set(range(1000)), "b": set(range(998)), "c": set(range(1000))}
    seen = [
        candidate("a", shown["a"], baseline=(2, 14)),
        candidate("b", shown["b"]),
        candidate("c", shown["c"], baseline=()),
    ]

    assert {tuple(names(chosen(order, shown))) for order in permutations(seen)} == {("b",)}


def test_when_a_tile_was_processed_does_not_decide_between_tiles() -> None:
    shown = {"a": set(range(1000)), "b": set(range(1000))}
    first = candidate("a", shown["a"])
    second = candidate("b", shown["b"])
    rank = replace(second.acquisition.rank, generated="2030-01-01T00:00:00.000000Z", updated="2030-01-01")
    second = replace(second, acquisition=replace(second.acquisition, rank=rank))

    assert names(chosen([first, second], shown)) == ["a"]


def test_levels_are_never_mixed() -> None:
    shown = {"l2a": set(range(400)), "l1c": set(range(300, 1000))}
    seen = [candidate("l2a", shown["l2a"]), candidate("l1c", shown["l1c"], level=1)]

    assert names(chosen(seen, shown)) == ["l2a"]


def test_what_does_not_mean_the_same_is_not_laid_together() -> None:
    shown = {"a": set(range(500)), "b": set(range(400, 1000)), "c": set(range(450))}
    seen = [candidate(name, shown[name], likeness=kind) for name, kind in (("a", "x"), ("b", "y"), ("c", "y"))]

    assert names(chosen(seen, shown)) == ["b", "c"]


def test_what_shows_nothing_is_no_source() -> None:
    shown: Shown = {"a": set(), "b": set(range(10))}
    seen = [candidate(name, shown[name]) for name in shown]

    assert names(chosen(seen, shown)) == ["b"]
    assert names(chosen(seen[:1], shown)) == []


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.integers(0, PIXELS - 1)), min_size=1), st.randoms())
def test_the_same_candidates_give_the_same_choice_which_shows_nearly_all(shown: Shown, random: Random) -> None:
    seen = [candidate(name, shown[name]) for name in sorted(shown)]
    shuffled = list(seen)
    random.shuffle(shuffled)

    choice = chosen(seen, shown)

    assert chosen(shuffled, shown) == choice
    everything = len(set().union(*shown.values())) / PIXELS
    assert choice.coverage >= everything - 0.005 * len(shown) - 1e-9
    assert choice.coverage >= max(len(one) for one in shown.values()) / PIXELS - 0.005 - 1e-9
