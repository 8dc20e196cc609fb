"""From what was seen to what is cut: which sources a share is made of, and whether its subscriber takes it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import pystac

from imagery.items.acquisition import acquisition_of_item
from imagery.raster.area import longest_way
from imagery.raster.clip import Clip
from imagery.raster.harmonise import is_reflectance
from imagery.raster.mosaic import mosaic
from imagery.raster.radiometry import decide
from imagery.raster.reading import Reading
from imagery.raster.whole import read_all_checked
from imagery.workflow.choosing import Candidate, choose
from imagery.workflow.declared import declared_nodata
from imagery.workflow.looking import Prospect, Sight, name_of_look, sight_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a share is made of."""

    sources: tuple[pystac.Item, ...]
    """The one on top first, which the others complete."""

    sight: Sight
    """Of all of them together."""

    bytes_read: int
    """To find out: of all that was looked at."""


def decide_on(prospect: Prospect, *, max_pixels: int) -> Decision:
    """The candidate that shows most, or several together where none shows what all do.

    A candidate that could not be looked at is passed over when there is another. Raises RasterError.
    """
    seen = [item for item in prospect.candidates if prospect.sights[item.id].coverage is not None]
    bytes_read = sum(sight.bytes_read for sight in prospect.sights.values())
    if not seen:
        item = next((one for one in prospect.candidates if one.id == prospect.share.item.id), prospect.candidates[0])
        return Decision(sources=(item,), sight=prospect.sights[item.id], bytes_read=bytes_read)
    together = _Together(prospect=prospect, max_pixels=max_pixels)
    choice = choose(
        [_candidate(prospect, item) for item in seen],
        union=together.coverage,
        rounding=_rounding(prospect),
        wanted=prospect.share.subscription.filters.min_coverage,
    )
    chosen = tuple(one.item for one in choice.sources)
    bytes_read += together.bytes_read
    if not chosen:
        return Decision(sources=(seen[0],), sight=prospect.sights[seen[0].id], bytes_read=bytes_read)
    sight = together.sight(chosen) if len(chosen) > 1 else prospect.sights[chosen[0].id]
    return Decision(sources=chosen, sight=sight, bytes_read=bytes_read)


@dataclass(kw_only=True, slots=True)
class _Together:
    """What several candidates show as one; each set of them is read once."""

    prospect: Prospect
    max_pixels: int
    bytes_read: int = 0
    _known: dict[tuple[str, ...], Sight] = field(default_factory=dict)

    def coverage(self, candidates: Sequence[Candidate]) -> float:
        return self.sight([one.item for one in candidates]).coverage or 0.0

    def sight(self, sources: Sequence[pystac.Item]) -> Sight:
        ids = tuple(item.id for item in sources)
        if ids not in self._known:
            self._known[ids] = self._look(sources)
            self.bytes_read += self._known[ids].bytes_read
        return self._known[ids]

    def _look(self, sources: Sequence[pystac.Item]) -> Sight:
        prospect, quality = self.prospect, self.prospect.needs[sources[0].id].quality
        processing = prospect.share.subscription.processing
        reading = Reading(max_pixels=self.max_pixels, all_touched=processing.all_touched)
        clip = look_at_together(prospect, sources, reading=reading)
        if clip is not None and quality is not None and prospect.keeps_quality:
            prospect.aside.put_clip(name_of_look(sources), clip)
        return sight_of(clip, quality)


def look_at_together(prospect: Prospect, sources: Sequence[pystac.Item], *, reading: Reading) -> Clip | None:
    """The quality bands of several sources laid together, or where they have none their first wanted asset."""
    assets = []
    for item in sources:
        needs = prospect.needs[item.id]
        asset = item.assets[needs.quality[0] if needs.quality is not None else needs.keys[0]]
        assets.append(asset)

    def read(hrefs: Sequence[str]) -> Clip | None:
        named = [(href, declared_nodata(asset)) for href, asset in zip(hrefs, assets, strict=True)]
        return mosaic(named, prospect.geometry, reading=reading, keep_empty=True)

    return read_all_checked(assets, [prospect.geometry], prospect.whole, read)


def _rounding(prospect: Prospect) -> float:
    """Fraction of the AOI by which one edge of data counts differently on grids that lie half a pixel apart.

    Half a pixel along the longest way that an edge can take across the AOI, and one pixel at least.
    """
    pixels = min((sight.pixels for sight in prospect.sights.values() if sight.pixels), default=0)
    return max(1.0, longest_way(prospect.geometry) * math.sqrt(pixels) / 2) / pixels if pixels else 0.0


def _candidate(prospect: Prospect, item: pystac.Item) -> Candidate:
    return Candidate(
        item=item,
        acquisition=acquisition_of_item(item),
        coverage=prospect.sights[item.id].coverage or 0.0,
        likeness=_likeness(prospect, item),
    )


def _likeness(prospect: Prospect, item: pystac.Item) -> Hashable:
    """What of an item must be the same for its pixels to be laid beside another's: what they mean."""
    needs = prospect.needs[item.id]
    harmonises = prospect.share.subscription.processing.harmonise
    numbers: list[Hashable] = []
    for key in needs.keys:
        said = decide(item, key)
        # What differs in its offset alone is alike once it is taken off.
        moves = said is not None and harmonises and not said.bands and is_reflectance(item, key)
        offset = None if said is None or (moves and said.offset is not None) else said.offset
        numbers.append((key, None if said is None else (said.scale, offset, said.bands)))
    return (needs.quality, *numbers)
