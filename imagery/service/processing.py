"""Whether what is asked for can be done to a collection's pixels, as far as that is known before any were seen."""

from __future__ import annotations

import re
from typing import Any

import pystac

from imagery.errors import AoiInvalid, AssetMissing, FormulaInvalid, SubscriptionInvalid
from imagery.model.aoi import Aoi
from imagery.model.ellipsoid import area_km2
from imagery.model.processing import Index, Processing, Resampling
from imagery.model.subscription import Filters, Subscription
from imagery.raster.area import buffered
from imagery.raster.formula import Formula, parse_formula
from imagery.raster.index import KNOWN, bands_of
from imagery.raster.quality import quality_asset
from imagery.service.specimen import holds_classes, resolution_m

MAX_INDICES = 10
PERCENT = "a number from 0 to 100, percent, such as 40"
FRACTION = "a fraction from 0 to 1, such as 0.7"
MAX_BUFFER_M = 1000.0
MIN_RESOLUTION_M, MAX_RESOLUTION_M = 0.1, 10_000.0

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""Of an index."""

RESERVED = frozenset({"bands", "thumbnail"})
"""Asset keys of what is made besides."""


def known_index(name: str, *, field: str) -> Index:
    """In whatever letters its name is written. Raises FormulaInvalid."""
    if name.lower() not in KNOWN:
        raise FormulaInvalid(
            f"there is no known index {name[:40]!r}; there are: {', '.join(sorted(KNOWN))}. Give another one with its "
            "formula",
            field=field,
        )
    return KNOWN[name.lower()]


def check_options(
    subscription: Subscription,
    specimen: pystac.Item | None,
    *,
    max_aoi_km2: float,
    max_clip_pixels: int | None = None,
) -> None:
    """Of its filters and processing. Raises SubscriptionInvalid or FormulaInvalid, naming the field.

    `specimen` is an item as the collection promises it; None where it promises nothing: then what cannot be done shows
    in each delivery.
    """
    _check_filters(subscription.filters)
    _check_processing(subscription.processing)
    area = _check_area(subscription.aoi, subscription.processing.buffer_m, max_aoi_km2)
    _check_pixels(area, subscription.processing.resolution_m, max_clip_pixels)
    for number in range(len(subscription.processing.indices)):
        _check_index(subscription, number, specimen)
    if specimen is not None:
        _check_quality(subscription, specimen)
        _check_one_grid(subscription, specimen)


def _check_filters(filters: Filters) -> None:
    for name, most, what in (
        ("max_cloud_cover", 100, PERCENT),
        ("min_clear_fraction", 1, FRACTION),
        ("min_coverage", 1, FRACTION),
    ):
        value = getattr(filters, name)
        if value is not None and not 0 <= value <= most:
            raise SubscriptionInvalid(f"{name} is {what}; {value:g} is none", field=f"/filters/{name}")


def _check_processing(processing: Processing) -> None:
    if not -MAX_BUFFER_M <= processing.buffer_m <= MAX_BUFFER_M:
        raise SubscriptionInvalid(
            f"buffer_m lies between -{MAX_BUFFER_M:g} and {MAX_BUFFER_M:g} metres", field="/processing/buffer_m"
        )
    resolution = processing.resolution_m
    if resolution is not None and not MIN_RESOLUTION_M <= resolution <= MAX_RESOLUTION_M:
        raise SubscriptionInvalid(
            f"resolution_m lies between {MIN_RESOLUTION_M:g} and {MAX_RESOLUTION_M:g} metres",
            field="/processing/resolution_m",
        )
    if resolution is None and processing.resampling is not Resampling.NEAREST:
        raise SubscriptionInvalid(
            f"nothing is resampled without resolution_m; give it, or leave {processing.resampling} out",
            field="/processing/resampling",
        )
    if len(processing.indices) > MAX_INDICES:
        raise SubscriptionInvalid(
            f"a subscription computes up to {MAX_INDICES} indices, not {len(processing.indices)}",
            field="/processing/indices",
        )


def _check_area(aoi: Aoi, buffer_m: float, max_aoi_km2: float) -> float:
    """What is read, km²."""
    if buffer_m == 0:
        return aoi.area_km2
    try:
        grown = buffered(aoi.geometry, buffer_m)
    except AoiInvalid as error:
        raise SubscriptionInvalid(str(error), field="/processing/buffer_m") from error
    if grown is None:
        raise SubscriptionInvalid(
            f"nothing is left of the area when it is shrunk by {-buffer_m:g} m; shrink it by less",
            field="/processing/buffer_m",
        )
    area = _area_km2(grown)
    if area > max_aoi_km2:
        raise SubscriptionInvalid(
            f"grown by {buffer_m:g} m the area is {area:,.1f} km² and the limit is {max_aoi_km2:,.1f} km²; "
            "grow it by less",
            field="/processing/buffer_m",
        )
    return area


def _check_pixels(area_km2: float, resolution: float | None, max_clip_pixels: int | None) -> None:
    if resolution is None or max_clip_pixels is None:
        return
    pixels = area_km2 * 1e6 / resolution**2
    if pixels > max_clip_pixels:
        raise SubscriptionInvalid(
            f"with pixels of {resolution:g} m the area holds {pixels:,.0f} of them and the limit is "
            f"{max_clip_pixels:,}; choose a larger resolution_m",
            field="/processing/resolution_m",
        )


def _check_index(subscription: Subscription, number: int, specimen: pystac.Item | None) -> None:
    indices, field = subscription.processing.indices, f"/processing/indices/{number}"
    index = indices[number]
    if re.fullmatch(NAME, index.name) is None:
        raise SubscriptionInvalid(
            f"{index.name[:40]!r} cannot name an index: up to 32 small letters, digits and _, a letter first",
            field=field,
        )
    if any(index.name == other.name for other in indices[:number]):
        raise SubscriptionInvalid(f"there are two indices {index.name!r}; name each once", field=field)
    if index.name in RESERVED or index.name in subscription.assets or (specimen and index.name in specimen.assets):
        raise SubscriptionInvalid(f"{index.name!r} is the key of another asset; call the index otherwise", field=field)
    formula = _parsed(index, field)
    if specimen is None:
        return
    try:
        bands_of(specimen, formula)
    except (FormulaInvalid, AssetMissing) as error:
        raise FormulaInvalid(f"{index.name} cannot be computed: {error}", field=field) from error


def _check_quality(subscription: Subscription, specimen: pystac.Item) -> None:
    if quality_asset(specimen) is not None:
        return
    nothing = (
        f"collection {subscription.collection} has no quality band (scl, qa_pixel, udm2) that tells clear from cloudy"
    )
    if subscription.filters.min_clear_fraction is not None:
        raise SubscriptionInvalid(
            f"{nothing}; leave min_clear_fraction out, or use max_cloud_cover, which then is of the scene",
            field="/filters/min_clear_fraction",
        )
    if subscription.processing.mask:
        raise SubscriptionInvalid(f"{nothing}; leave mask out", field="/processing/mask")


def _check_one_grid(subscription: Subscription, specimen: pystac.Item) -> None:
    processing = subscription.processing
    if not processing.single_file or processing.resolution_m is not None:
        return
    keys: dict[float, str] = {}
    quality = quality_asset(specimen)
    for key in subscription.assets:
        width = resolution_m(specimen, key)
        # Classes do not go into the file with the bands.
        is_quality = quality is not None and key == quality[0]
        if width is not None and not is_quality and not holds_classes(specimen, key):
            keys.setdefault(width, key)
    if len(keys) > 1:
        said = ", ".join(f"{key} {width:g} m" for width, key in sorted(keys.items()))
        raise SubscriptionInvalid(
            f"one file has one grid, and the assets have several ({said}); give resolution_m",
            field="/processing/resolution_m",
        )


def _parsed(index: Index, field: str) -> Formula:
    try:
        return parse_formula(index.formula)
    except FormulaInvalid as error:
        raise FormulaInvalid(f"{index.name}: {error}", field=field) from error


def _area_km2(geometry: Any) -> float:
    """Of a GeoJSON Polygon or MultiPolygon."""
    polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
    return sum(area_km2(rings[0], rings[1:]) for rings in polygons)
