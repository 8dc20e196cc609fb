"""Reading the bands: each asset opened once for all who take it so from one item, one clip in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pystac

from imagery.errors import ImageryError, RasterError, RasterUnreadable
from imagery.model.processing import Resampling
from imagery.raster.clearing import ClearedBy
from imagery.raster.clip import Clip, clip_each
from imagery.raster.gdal import open_raster
from imagery.raster.mosaic import mosaic
from imagery.raster.reading import Reading
from imagery.raster.whole import read_all_checked, read_checked
from imagery.workflow.declared import declared_nodata
from imagery.workflow.draft import MASK, Draft

Result = Clip | RasterError | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetcher:
    """Reads what drafts need, and hands it to them; each draft takes its own errors."""

    folder: Path
    """For copies of files that are read whole."""

    max_pixels: int

    def fetch(self, drafts: Sequence[Draft]) -> None:
        """Masks, then every asset, then what indices need besides."""
        self._fetch_masks([draft for draft in drafts if draft.share.subscription.processing.mask])
        wanted = [(draft, key) for draft in drafts for key in draft.needs.keys]
        looked_at = [(draft, key) for draft, key in wanted if self._has_been_looked_at(draft, key)]
        for draft, key in looked_at:
            if draft.error is None:
                draft.take(key, _without_bytes(draft))
        self._read([each for each in wanted if each not in looked_at], Draft.take, self._reading)
        coarse = [(draft, key) for draft in drafts for key in _coarse_keys(draft)]
        self._read(coarse, Draft.take_touched, self._touching)

    def _fetch_masks(self, drafts: Sequence[Draft]) -> None:
        """A fine pixel of the AOI's edge may lie in a coarse one whose centre is outside: read all that it touches."""
        wanted = []
        for draft in drafts:
            if draft.share.subscription.processing.all_touched and draft.aside.has_clip(draft.look):
                draft.aside.put_clip(MASK, draft.aside.clip(draft.look))
            elif draft.needs.quality is not None:
                wanted.append((draft, draft.needs.quality[0]))

        def take(draft: Draft, _key: str, result: Result) -> None:
            try:
                draft.take_mask(result)
            except ImageryError as error:
                draft.fail(error)

        self._read(wanted, take, lambda draft, key: replace(self._touching(draft, key), resolution_m=None))

    def _has_been_looked_at(self, draft: Draft, key: str) -> bool:
        quality, processing = draft.needs.quality, draft.share.subscription.processing
        is_quality = quality is not None and key == quality[0]
        return is_quality and processing.resolution_m is None and draft.aside.has_clip(draft.look)

    def _reading(self, draft: Draft, key: str) -> Reading:
        processing = draft.share.subscription.processing
        return Reading(
            max_pixels=self.max_pixels,
            nodata=declared_nodata(draft.sources[0].assets[key]),
            all_touched=processing.all_touched,
            resolution_m=processing.resolution_m,
            resampling=Resampling.NEAREST if key in draft.needs.categorical else processing.resampling,
            clearing=self._clearing(draft.sources[0], draft) if self._is_cleared(draft, key) else None,
        )

    def _is_cleared(self, draft: Draft, key: str) -> bool:
        """Whether it is masked, and may be laid on another grid: clouds must not be spread over what is clear."""
        processing, quality = draft.share.subscription.processing, draft.needs.quality
        laid = processing.resolution_m is not None or len(draft.sources) > 1
        return processing.mask and laid and quality is not None and key != quality[0]

    def _touching(self, draft: Draft, key: str) -> Reading:
        return replace(self._reading(draft, key), all_touched=True)

    def _read(
        self,
        wanted: Sequence[tuple[Draft, str]],
        take: Callable[[Draft, str, Result], None],
        reading_of: Callable[[Draft, str], Reading],
    ) -> None:
        groups: dict[tuple[str, str, Reading], list[Draft]] = {}
        mosaics: list[tuple[Draft, str, Reading]] = []
        for draft, key in wanted:
            if draft.error is not None:
                continue
            try:
                reading = reading_of(draft, key)
            except ImageryError as error:
                draft.fail(error)
                continue
            if len(draft.sources) == 1:
                groups.setdefault((draft.sources[0].id, key, reading), []).append(draft)
            else:
                mosaics.append((draft, key, reading))
        for (_, key, reading), takers in groups.items():
            if going := [draft for draft in takers if draft.error is None]:
                self._read_one(key, reading, going, take)
        for draft, key, reading in mosaics:
            if draft.error is None:
                self._read_mosaic(draft, key, reading, take)

    def _read_mosaic(
        self, draft: Draft, key: str, reading: Reading, take: Callable[[Draft, str, Result], None]
    ) -> None:
        try:
            take(draft, key, self._mosaic(draft, key, reading))
        except ImageryError as error:
            draft.fail(error)

    def _read_one(
        self, key: str, reading: Reading, takers: Sequence[Draft], take: Callable[[Draft, str, Result], None]
    ) -> None:
        asset = takers[0].sources[0].assets[key]
        geometries = [taker.geometry for taker in takers]
        clips = read_checked(
            asset,
            geometries,
            self.folder,
            lambda href: clip_each(href, geometries, reading=reading, keep_empty=True),
        )
        try:
            with closing(clips):
                for index, result in clips:
                    take(takers[index], key, result)
                    del result  # else it would stay while the next one is read
        except ImageryError as error:
            for taker in takers:
                taker.fail(error)

    def _mosaic(self, draft: Draft, key: str, reading: Reading) -> Clip | None:
        assets = [item.assets[key] for item in draft.sources]
        clearings = [self._clearing(item, draft) for item in draft.sources] if reading.clearing is not None else []

        def read(hrefs: Sequence[str]) -> Clip | None:
            named = [(href, declared_nodata(asset)) for href, asset in zip(hrefs, assets, strict=True)]
            plain = replace(reading, nodata=None, clearing=None)
            shifts = [draft.shifts.get((item.id, key), 0.0) for item in draft.sources]
            return mosaic(named, draft.geometry, reading=plain, keep_empty=True, clearings=clearings, shifts=shifts)

        return read_all_checked(assets, [draft.geometry], self.folder, read)

    def _clearing(self, item: pystac.Item, draft: Draft) -> ClearedBy:
        """By the item's own quality band. Raises RasterError."""
        quality = draft.needs.quality
        if quality is None:
            raise RasterUnreadable(f"{item.id} has no quality band to be masked by; leave the mask out")
        asset = item.assets[quality[0]]
        (href,) = read_all_checked([asset], [draft.geometry], self.folder, _opened)
        return ClearedBy(href=href, kind=quality[1], nodata=declared_nodata(asset), max_pixels=self.max_pixels)


def _opened(hrefs: Sequence[str]) -> Sequence[str]:
    """Themselves, when they can be opened. Raises RasterError."""
    for href in hrefs:
        with open_raster(href):
            pass
    return hrefs


def _coarse_keys(draft: Draft) -> list[str]:
    """Bands of an index that are coarser than its finest: its edge needs them from beyond the AOI's own pixels."""
    processing = draft.share.subscription.processing
    if draft.error is not None or processing.all_touched or processing.resolution_m is not None:
        return []
    found = []
    for one in draft.needs.computed:
        widths = {key: draft.widths[key] for key in one.keys if key in draft.widths}
        found += [key for key, width in widths.items() if width > min(widths.values()) * 1.001]
    return list(dict.fromkeys(found))


def _without_bytes(draft: Draft) -> Clip:
    """What was read when it was looked at is counted already."""
    return replace(draft.aside.clip(draft.look), bytes_read=0)
