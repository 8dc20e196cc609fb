"""The radiometry table: for each kind of product what its metadata says, scale and offset, and on whose word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

S2_SCALE = 0.0001
S2_OFFSET = -0.1

_ESA = "ESA PDGS, Sentinel-2 processing baseline 04.00 (25 January 2022)"
_BOA = f"{_ESA}: L2A = (DN + BOA_ADD_OFFSET) / 10000, BOA_ADD_OFFSET = -1000, DN 0 = no data"
_TOA = f"{_ESA}: L1C = (DN + RADIO_ADD_OFFSET) / 10000, RADIO_ADD_OFFSET = -1000, DN 0 = no data"
_COGS = "Element 84, cirrus-earth-search issue 21: the step that makes the COGs takes 1000 off and says so in the flag"
_LIES = "Element 84, earth-search issues 66 and 71: items whose flag is false although 1000 was taken off"
_USGS = "USGS, Landsat Collection 2 Level-2 Science Product Guide (LSDS-1618, LSDS-1619)"
_PLANET = "Planet, PlanetScope product specification"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One row: physical value = stored number x `scale` + `offset`."""

    key: str
    product: str
    says: str
    """What the metadata says."""

    scale: float | None
    """None: the item's own word, or another one for every band."""

    offset: float | None
    quantity: str
    authority: str
    """Who says that it is so."""


_BOA_REFLECTANCE = "surface reflectance"
_TOA_REFLECTANCE = "top-of-atmosphere reflectance"

TABLE: tuple[Rule, ...] = (
    Rule(
        key="s2-l2a-before-0400",
        product="sentinel-2-l2a, -pre-c1-l2a, v0",
        says="processing baseline older than 04.00, whatever the flag says",
        scale=S2_SCALE,
        offset=0.0,
        quantity=_BOA_REFLECTANCE,
        authority=_BOA,
    ),
    Rule(
        key="s2-l2a-flag-true",
        product="sentinel-2-l2a",
        says="baseline 04.00 or later, earthsearch:boa_offset_applied true (raster:bands still says -0.1)",
        scale=S2_SCALE,
        offset=0.0,
        quantity=_BOA_REFLECTANCE,
        authority=_COGS,
    ),
    Rule(
        key="s2-l2a-flag-false",
        product="sentinel-2-l2a",
        says="baseline 04.00 or later, earthsearch:boa_offset_applied false",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_BOA_REFLECTANCE,
        authority=f"{_BOA}; {_LIES}",
    ),
    Rule(
        key="s2-l2a-flag-missing",
        product="sentinel-2-l2a, sentinel-2-pre-c1-l2a",
        says="baseline 04.00 or later, no flag",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_BOA_REFLECTANCE,
        authority=f"{_BOA}; {_LIES}",
    ),
    Rule(
        key="s2-v0-flag-true",
        product="sentinel-s2-l2a-cogs (v0)",
        says="the older spellings: sentinel:processing_baseline 04.00 or later, sentinel:boa_offset_applied true",
        scale=S2_SCALE,
        offset=0.0,
        quantity=_BOA_REFLECTANCE,
        authority=f"{_COGS}; issue 33 for the change of spelling",
    ),
    Rule(
        key="s2-v0-flag-false",
        product="sentinel-s2-l2a-cogs (v0)",
        says="the older spellings: sentinel:processing_baseline 04.00 or later, sentinel:boa_offset_applied false",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_BOA_REFLECTANCE,
        authority=_BOA,
    ),
    Rule(
        key="s2-l2a-original",
        product="sentinel-2-l2a, the agency's own JPEG 2000 (keys ending in -jp2)",
        says="baseline 04.00 or later, whatever the flag says of the COG",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_BOA_REFLECTANCE,
        authority=_BOA,
    ),
    Rule(
        key="s2-l2a-no-baseline",
        product="sentinel-2-l2a, v0",
        says="no baseline and no flag, but raster:bands",
        scale=S2_SCALE,
        offset=None,
        quantity=_BOA_REFLECTANCE,
        authority="the item's raster:bands",
    ),
    Rule(
        key="s2-l2a-no-baseline-late",
        product="sentinel-2-l2a, v0, -l1c",
        says="no baseline; a flag that is not true, or acquired or processed on 25 January 2022 or later",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_BOA_REFLECTANCE,
        authority=f"{_BOA} (since that day)",
    ),
    Rule(
        key="s2-l2a-nothing-said",
        product="sentinel-2-l2a, v0, -l1c",
        says="no baseline and no raster:bands, acquired and processed before 25 January 2022",
        scale=S2_SCALE,
        offset=0.0,
        quantity=_BOA_REFLECTANCE,
        authority="baselines were not written into items before 04.00 (cirrus-earth-search issue 21)",
    ),
    Rule(
        key="s2-c1",
        product="sentinel-2-c1-l2a",
        says="raster:bands, always -0.1 (baseline 05.00 or later)",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_BOA_REFLECTANCE,
        authority=f"{_BOA}; Element 84, earth-search issue 41: Collection 1 is stored as the agency made it",
    ),
    Rule(
        key="s2-l1c-before-0400",
        product="sentinel-2-l1c",
        says="processing baseline older than 04.00",
        scale=S2_SCALE,
        offset=0.0,
        quantity=_TOA_REFLECTANCE,
        authority=_TOA,
    ),
    Rule(
        key="s2-l1c",
        product="sentinel-2-l1c",
        says="baseline 04.00 or later",
        scale=S2_SCALE,
        offset=S2_OFFSET,
        quantity=_TOA_REFLECTANCE,
        authority=_TOA,
    ),
    Rule(
        key="landsat-sr",
        product="landsat-c2-l2, reflectance bands",
        says="raster:bands, one half of them, or nothing",
        scale=0.0000275,
        offset=-0.2,
        quantity=_BOA_REFLECTANCE,
        authority=_USGS,
    ),
    Rule(
        key="landsat-st",
        product="landsat-c2-l2, thermal band",
        says="raster:bands, one half of them, or nothing",
        scale=0.00341802,
        offset=149.0,
        quantity="surface temperature, kelvin",
        authority=_USGS,
    ),
    Rule(
        key="planet-sr",
        product="PSScene ortho_analytic_4b_sr, ortho_analytic_8b_sr, analytic_sr",
        says="the asset's name",
        scale=0.0001,
        offset=0.0,
        quantity=_BOA_REFLECTANCE,
        authority=f"{_PLANET}: surface reflectance is scaled by 10000",
    ),
    Rule(
        key="planet-toar",
        product="PSScene, any analytic asset that went through the `toar` tool",
        says="`toar` in the file's name; imagery:toar_scale_factor where it is not 10000",
        scale=0.0001,
        offset=0.0,
        quantity=_TOA_REFLECTANCE,
        authority="Planet, Orders API tools: TOAR, scale_factor 10000 unless the order says otherwise",
    ),
    Rule(
        key="planet-radiance",
        product="PSScene ortho_analytic_4b, ortho_analytic_8b, analytic",
        says="a reflectanceCoefficient for every band; without them nothing is claimed (the numbers are radiance)",
        scale=None,
        offset=0.0,
        quantity=_TOA_REFLECTANCE,
        authority=f"{_PLANET}: DN x reflectanceCoefficient of the metadata XML",
    ),
)

RULES: Mapping[str, Rule] = MappingProxyType({rule.key: rule for rule in TABLE})
