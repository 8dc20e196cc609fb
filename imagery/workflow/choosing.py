"""Which source items make the product of an acquisition: pure, and the same whichever of them was asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

import pystac

from imagery.items.acquisition import Acquisition


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A source item that was looked at over the AOI."""

    item: pystac.Item
    acquisition: Acquisition
    coverage: float
    """Fraction of the AOI that it shows, 0 to 1."""

    likeness: Hashable = None
    """Sources of one mosaic must be equal in this: their radiometry, and whatever else cannot be laid side by side."""


Union = Callable[[Sequence[Candidate]], float]
"""Fraction of the AOI that several show together, 0 to 1. Asked only about two and more of one likeness."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What the product is made of."""

    sources: tuple[Candidate, ...]
    """The one on top first; empty: none of them shows anything."""

    coverage: float
    """Of the sources together."""


def choose(seen: Iterable[Candidate], *, union: Union, rounding: float = 0.0, wanted: float | None = None) -> Choice:
    """One processing of each tile; of those the one with the best coverage, if it shows what all together show.

    Else a mosaic: the best first, then whichever adds most to it, only those that add something. What is less than
    `rounding` is nothing: the fraction of the AOI by which two coverages may differ and be the same, for grids of tiles
    lie half a pixel apart. Unless `wanted`, the coverage that the subscriber asks for, is reached with it only. Levels
    are never mixed: the highest that shows something counts. The same candidates, in whatever order, give the same
    choice.
    """
    candidates = list(seen)
    choice = _choice(candidates, union, rounding)
    if wanted is None or rounding <= 0 or choice.coverage >= wanted:
        return choice
    exact = _choice(candidates, union, 0.0)
    return exact if exact.coverage >= wanted else choice


def _choice(seen: Iterable[Candidate], union: Union, least: float) -> Choice:
    showing = [one for one in seen if one.coverage > 0]
    if not showing:
        return Choice(sources=(), coverage=0.0)
    level = max(one.acquisition.rank.level for one in showing)
    best = _best_of_each_tile(one for one in showing if one.acquisition.rank.level == level)
    choices = [_mosaic(group, union, least) for group in _groups(best)]
    most = max(choice.coverage for choice in choices)
    return min((one for one in choices if one.coverage >= most - least), key=lambda one: _order(one.sources[0]))


def _best_of_each_tile(candidates: Iterable[Candidate]) -> list[Candidate]:
    best: dict[str, Candidate] = {}
    for one in candidates:
        known = best.get(one.acquisition.tile)
        if known is None or one.acquisition.rank > known.acquisition.rank:
            best[one.acquisition.tile] = one
    return list(best.values())


def _groups(candidates: Iterable[Candidate]) -> list[list[Candidate]]:
    groups: dict[Hashable, list[Candidate]] = {}
    for one in candidates:
        groups.setdefault(one.likeness, []).append(one)
    return list(groups.values())


def _mosaic(group: Sequence[Candidate], union: Union, least: float) -> Choice:
    """Of candidates that are alike."""
    most = max(one.coverage for one in group)
    lead = min((one for one in group if one.coverage >= most - least), key=_order)
    sources, coverage, left = [lead], lead.coverage, [one for one in group if one is not lead]
    while left and coverage < 1.0:
        reached = {one.item.id: union([*sources, one]) for one in left}
        further = max(reached.values())
        if further <= coverage or further - coverage < least:
            break
        # Not the first of equals, but the one that would be the better lead.
        worth = [one for one in left if reached[one.item.id] >= max(further - least, coverage + least)]
        added = min(worth or [one for one in left if reached[one.item.id] == further], key=_order)
        sources.append(added)
        coverage = reached[added.item.id]
        left.remove(added)
    return Choice(sources=tuple(sources), coverage=coverage)


def _order(one: Candidate) -> tuple[bool, tuple[int, ...], float, str, str]:
    """Least first: newest processor, best coverage, then names.

    When it was processed is left out: else a tile that comes anew would take another's place for nothing.
    """
    baseline = one.acquisition.rank.baseline
    newest_first = tuple(-part for part in baseline)
    return not baseline, newest_first, -round(one.coverage, 6), one.acquisition.tile, one.item.id
