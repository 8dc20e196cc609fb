"""Looking before paying: what each acquisition shows of each AOI, counted in its quality band before all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pystac

from imagery.errors import ImageryError, RasterError, RasterUnavailable
from imagery.model.quality import Quality
from imagery.raster.area import Geometry
from imagery.raster.clip import Clip, clip_each
from imagery.raster.quality import QualityKind, judge
from imagery.raster.reading import Reading
from imagery.raster.whole import read_checked
from imagery.workflow.aside import Aside
from imagery.workflow.declared import declared_nodata
from imagery.workflow.needs import Needs
from imagery.workflow.share import Share


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What one source item shows of one AOI."""

    quality: Quality | None = None
    """None: it has no quality band, or none that can be read; or nothing of the AOI lies on its raster."""

    coverage: float | None = None
    """Fraction of the AOI that is shown. None: not known before the bands are read."""

    pixels: int = 0
    """Of the AOI, on the grid that was looked at; 0: not known."""

    bytes_read: int = 0
    """To find out."""

    trouble: RasterError | None = None
    """Why the quality band that it has cannot be read."""


@dataclass(kw_only=True, slots=True)
class Prospect:
    """One share while it is weighed."""

    share: Share
    aside: Aside
    whole: Path
    """Where copies of files are kept that are read whole; for all shares together."""

    geometry: Geometry
    """Of the AOI as it is to be read: grown or shrunk."""

    needs: Mapping[str, Needs]
    """By source item id: the candidates that have all that is asked for."""

    sights: dict[str, Sight]
    """By source item id, of those in `needs` that were looked at."""

    error: ImageryError | None = None

    @property
    def candidates(self) -> list[pystac.Item]:
        """Those that come into question, in the share's order."""
        return [item for item in self.share.candidates if item.id in self.needs]

    @property
    def keeps_quality(self) -> bool:
        """Whether the quality band's clip is of use after it was judged."""
        processing = self.share.subscription.processing
        delivers = any(needs.quality and needs.quality[0] in needs.keys for needs in self.needs.values())
        return (delivers and processing.resolution_m is None) or (processing.mask and processing.all_touched)

    def fail(self, error: ImageryError) -> None:
        """It ends here. An error's traceback would hold clips."""
        self.error = error.with_traceback(None)


def look(prospects: Sequence[Prospect], *, max_pixels: int) -> None:
    """Every candidate's quality band once for all who have it as one; sets their `sights`, or their error.

    Where there is none and candidates have to be told apart, the first wanted asset is read for its coverage. What
    waiting can help is an error; a quality band that cannot be read for good is like none, unless it is needed.
    """
    for key, items in _to_look_at(prospects).items():
        for all_touched in (False, True):
            takers = [
                (prospect, item)
                for prospect, item in items
                if prospect.share.subscription.processing.all_touched is all_touched and prospect.error is None
            ]
            if takers:
                _look_at(key, takers, all_touched=all_touched, max_pixels=max_pixels)


def name_of_look(sources: Sequence[pystac.Item]) -> str:
    """Under which the clip of their quality band is set aside."""
    return "quality band of " + " and ".join(item.id for item in sources)


def sight_of(clip: Clip | None, quality: tuple[str, QualityKind] | None) -> Sight:
    """What a clip shows; of a quality band, also of what."""
    if clip is None:
        return Sight(coverage=0.0)
    if quality is None:
        return Sight(coverage=clip.coverage, pixels=clip.aoi_pixels, bytes_read=clip.bytes_read)
    judged = judge(clip, quality[1], band=quality[0])
    return Sight(quality=judged, coverage=judged.coverage, pixels=judged.pixels, bytes_read=clip.bytes_read)


_Taker = tuple[Prospect, pystac.Item]


def _to_look_at(prospects: Sequence[Prospect]) -> dict[tuple[str, str], list[_Taker]]:
    """(source item id, asset key) → who is to be told of it."""
    found: dict[tuple[str, str], list[_Taker]] = {}
    for prospect in prospects:
        for item in prospect.candidates:
            key = _key_to_look_at(prospect, item)
            if key is None:
                prospect.sights[item.id] = Sight()
            else:
                found.setdefault((item.id, key), []).append((prospect, item))
    return found


def _key_to_look_at(prospect: Prospect, item: pystac.Item) -> str | None:
    needs = prospect.needs[item.id]
    if needs.quality is not None:
        return needs.quality[0]
    # One that is alone need not be told from others: its bands are read anyway.
    return next(iter(needs.keys), None) if len(prospect.needs) > 1 else None


def _look_at(key: tuple[str, str], takers: Sequence[_Taker], *, all_touched: bool, max_pixels: int) -> None:
    item, asset = takers[0][1], takers[0][1].assets[key[1]]
    reading = Reading(max_pixels=max_pixels, nodata=declared_nodata(asset), all_touched=all_touched)
    geometries = [prospect.geometry for prospect, _ in takers]
    clips = read_checked(
        asset,
        geometries,
        takers[0][0].whole,
        lambda href: clip_each(href, geometries, reading=reading, keep_empty=True),
    )
    try:
        with closing(clips):
            for index, result in clips:
                _tell(takers[index][0], item, result)
                del result  # else it would stay while the next one is read
    except RasterError as error:
        for prospect, _ in takers:
            _tell(prospect, item, error)


def _tell(prospect: Prospect, item: pystac.Item, result: Clip | RasterError | None) -> None:
    quality = prospect.needs[item.id].quality
    try:
        if isinstance(result, RasterError):
            raise result
        prospect.sights[item.id] = sight_of(result, quality)
        if result is not None and quality is not None and prospect.keeps_quality:
            prospect.aside.put_clip(name_of_look([item]), result)
    except RasterUnavailable as error:
        prospect.fail(error)
    except RasterError as error:
        prospect.sights[item.id] = Sight(trouble=error.with_traceback(None))
    except ImageryError as error:
        prospect.fail(error)
