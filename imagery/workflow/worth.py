"""Whether an acquisition is worth its price to a subscriber, by all that can be known of it for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pystac
import shapely
from shapely.geometry import Polygon, shape
from shapely.geometry.base import BaseGeometry

from imagery.errors import AoiInvalid
from imagery.model.ellipsoid import area_km2
from imagery.model.outcome import SkipReason
from imagery.raster.area import buffered
from imagery.raster.quality import quality_asset
from imagery.workflow.needs import needs_of
from imagery.workflow.share import Entry, Share

ClearFraction = Callable[[str, str, Mapping[str, Any]], float | None]
"""The provider's estimate (0 to 1) of what is clear: of a collection's item, over a GeoJSON geometry. None: none."""

EDGE_M = 3.0
"""A pixel of PSScene: by how much more is ordered where every pixel the area touches is wanted."""

SLACK = 0.01
"""Fraction of the AOI by which its outline and its pixels may differ."""

HECTARES_A_KM2 = 100.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What one share makes us order."""

    share: Share
    geometry: dict[str, Any]
    """GeoJSON: the AOI as it is to be read."""

    assets: frozenset[str]

    @property
    def is_as_it_comes(self) -> bool:
        """Whether it may not be fitted to another sensor: that changes a whole order, and is for reflectance only."""
        images = [key for key in self.assets if "udm" not in key and not key.endswith("_xml")]
        return not all(key.endswith("_sr") for key in images)


def weigh(share: Share, *, clear_fraction: ClearFraction) -> Entry | Wanted:
    """Why it need not be ordered, or what must be. Raises AssetMissing, FormulaInvalid, AoiInvalid, ProviderError."""
    refused = share.refusal()
    if refused is not None:
        return refused
    assets = assets_of(share)
    geometry = area_of(share)
    refused = _too_thin(share, geometry) or _too_cloudy(share, geometry, clear_fraction)
    if refused is not None:
        return refused
    return Wanted(share=share, geometry=geometry, assets=assets)


def assets_of(share: Share) -> frozenset[str]:
    """All that is read for it, and the quality band where there is one. Raises AssetMissing, FormulaInvalid."""
    quality = quality_asset(share.item)
    return frozenset([*needs_of(share.item, share.subscription).keys, *([quality[0]] if quality else [])])


def hectares_under(geometry: Mapping[str, Any], item: pystac.Item) -> float:
    """Of what an item shows of an area (GeoJSON, EPSG:4326): what a provider bills for it."""
    outline = shape(dict(geometry))
    shown = outline if item.geometry is None else shapely.intersection(outline, _sound(item.geometry))
    parts = [part for part in shapely.get_parts(shown) if isinstance(part, Polygon)]
    areas = (area_km2(part.exterior.coords, [hole.coords for hole in part.interiors]) for part in parts)
    return HECTARES_A_KM2 * sum(areas)


def area_of(share: Share) -> dict[str, Any]:
    """GeoJSON: the AOI as it is to be read. Raises AoiInvalid."""
    processing = share.subscription.processing
    edge = EDGE_M if processing.all_touched else 0.0
    geometry = buffered(share.subscription.aoi.geometry, processing.buffer_m)
    if geometry is None:
        raise AoiInvalid(
            f"nothing is left of the area when it is shrunk by {-processing.buffer_m:g} m; shrink it by less",
            field="/processing/buffer_m",
        )
    return buffered(geometry, edge) or geometry


def _too_thin(share: Share, geometry: Mapping[str, Any]) -> Entry | None:
    """By the item's outline: it shows no more than that."""
    if share.item.geometry is None:
        return None
    outline = shape(dict(geometry))
    coverage = shapely.intersection(outline, _sound(share.item.geometry)).area / outline.area
    numbers = {"coverage": round(coverage, 6)}
    if coverage <= 0:
        return share.skipped(SkipReason.OUTSIDE, "the scene does not reach the area; nothing was ordered", **numbers)
    least = share.subscription.filters.min_coverage
    if least is None or coverage + SLACK >= least:
        return None
    why = (
        f"the scene covers {coverage:.1%} of the area, the subscription wants at least {least:.1%}; nothing was ordered"
    )
    return share.skipped(SkipReason.COVERAGE, why, **numbers)


def _too_cloudy(share: Share, geometry: Mapping[str, Any], clear_fraction: ClearFraction) -> Entry | None:
    """By the provider's own estimate, where there is one; what is ordered is counted in its quality band anyway."""
    filters, properties = share.subscription.filters, share.item.properties
    if filters.min_clear_fraction is None and filters.max_cloud_cover is None:
        return None
    clear = clear_fraction(share.subscription.collection, share.item.id, geometry)
    if clear is None:
        return None
    said = f"by the provider's estimate {clear:.1%} of the area is clear"
    numbers = {"clear_estimate": round(clear, 6)}
    if filters.min_clear_fraction is not None and clear < filters.min_clear_fraction:
        why = f"{said}, the subscription wants at least {filters.min_clear_fraction:.1%}; nothing was ordered"
        return share.skipped(SkipReason.UNCLEAR, why, **numbers)
    # What is not clear may be shadow or snow, of which only the whole scene's share is known.
    others = sum(_percent(properties.get(f"pl:{name}")) for name in ("shadow_percent", "snow_ice_percent"))
    cloud = 100.0 * (1.0 - clear) - others
    if filters.max_cloud_cover is not None and cloud > filters.max_cloud_cover:
        why = f"{said}, the subscription takes up to {filters.max_cloud_cover:g} % of cloud; nothing was ordered"
        return share.skipped(SkipReason.CLOUDY, why, **numbers)
    return None


def _percent(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0


def _sound(geometry: Mapping[str, Any]) -> BaseGeometry:
    outline = shape(dict(geometry))
    return outline if outline.is_valid else shapely.make_valid(outline)
