"""Which acquisitions a subscriber takes, by what was seen of their AOI; and the numbers, whichever way it goes."""

from __future__ import annotations

from collections.abc import Mapping

import pystac

from imagery.errors import RasterError
from imagery.model.outcome import SkipReason
from imagery.model.quality import Quality
from imagery.workflow.share import MAX_EXPLANATION, Entry, Share

PLACES = 6
"""Of the ledger's numbers. Filters compare the same: 7 of 100 are 7 %, though no binary fraction is."""


def numbers_of(quality: Quality | None, coverage: float | None, **others: float) -> dict[str, float]:
    """For the ledger: fractions of the AOI, `cloud_cover` in percent of what is shown of it."""
    if quality is None:
        return {**({} if coverage is None else {"coverage": round(coverage, PLACES)}), **others}
    names = ("coverage", "clear", "cloud", "shadow", "snow", "water", "unknown")
    fractions = {name: round(getattr(quality, name), PLACES) for name in names}
    cover = quality.cloud_cover
    return {**fractions, **({} if cover is None else {"cloud_cover": round(cover, PLACES)}), **others}


def refusal(
    share: Share,
    source: pystac.Item,
    *,
    quality: Quality | None,
    coverage: float | None,
    bytes_read: int,
    trouble: RasterError | None = None,
) -> Entry | None:
    """Why it is not delivered; None when it is, as far as is known.

    `source` is the item chosen, `trouble` why its quality band could not be read.
    """
    numbers = numbers_of(quality, coverage, **({"bytes_read": float(bytes_read)} if bytes_read else {}))
    if coverage is not None and coverage <= 0:
        return share.skipped(SkipReason.OUTSIDE, "the scene has no data over the area", **numbers)
    return (
        _too_thin(share, coverage, numbers)
        or (
            _scene_too_cloudy(share, source, numbers, trouble)
            if quality is None
            else _too_cloudy(share, quality, numbers)
        )
        or (None if quality is None else _unclear(share, quality, numbers))
    )


def _too_thin(share: Share, coverage: float | None, numbers: Mapping[str, float]) -> Entry | None:
    least = share.subscription.filters.min_coverage
    if least is None or coverage is None or not _is_less(coverage, least):
        return None
    why = f"the scene covers {coverage:.1%} of the area, the subscription wants at least {least:.1%}"
    return share.skipped(SkipReason.COVERAGE, why, **numbers)


def _too_cloudy(share: Share, quality: Quality, numbers: Mapping[str, float]) -> Entry | None:
    most, cover = share.subscription.filters.max_cloud_cover, quality.cloud_cover
    if most is None or cover is None or not _is_less(most, cover):
        return None
    why = f"cloud covers {cover:.1f} % of what is shown of the area, the subscription takes up to {most:g} %"
    return share.skipped(SkipReason.CLOUDY, why, **numbers)


def _scene_too_cloudy(
    share: Share, source: pystac.Item, numbers: Mapping[str, float], trouble: RasterError | None
) -> Entry | None:
    most, cover = share.subscription.filters.max_cloud_cover, source.properties.get("eo:cloud_cover")
    if most is None or isinstance(cover, bool) or not isinstance(cover, int | float) or not _is_less(most, cover):
        return None
    lack = "there is no quality band" if trouble is None else f"the quality band could not be read ({trouble})"
    why = (
        f"cloud cover of the scene is {cover:.1f} %, the subscription takes up to {most:g} %; to count the area's own "
        f"{lack}"
    )
    return share.skipped(SkipReason.CLOUDY, why[:MAX_EXPLANATION], **{**numbers, "cloud_cover": float(cover)})


def _unclear(share: Share, quality: Quality, numbers: Mapping[str, float]) -> Entry | None:
    least = share.subscription.filters.min_clear_fraction
    if least is not None and _is_less(quality.clear, least):
        why = f"{quality.clear:.1%} of the area is clear, the subscription wants at least {least:.1%}"
        return share.skipped(SkipReason.UNCLEAR, why, **numbers)
    if share.subscription.processing.mask and quality.clear <= 0:
        why = "no pixel of the area is clear, and the subscription masks what is not: nothing would be left"
        return share.skipped(SkipReason.UNCLEAR, why, **numbers)
    return None


def _is_less(one: float, other: float) -> bool:
    return round(one, PLACES) < round(other, PLACES)
