"""Test vectors of radiometry: for every row of the table what an item says, what its numbers are, and what comes out.

Whoever computes reflectance from these products can run the vectors against their own code: each is an item and files
of known reflectance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from imagery.raster.radiometry.table import RULES, TABLE, Rule

OFF = (0.0001, 0.0)
"""(scale, offset) of numbers without the offset."""

IN = (0.0001, -0.1)
"""(scale, offset) of numbers with the offset of 1000 in them."""

PAGE = Path(__file__).with_name("README.md")

V1_FLAG, V0_FLAG = "earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"
V1_BASELINE, V0_BASELINE = "s2:processing_baseline", "sentinel:processing_baseline"
LIE = {"raster:bands": [{"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}]}
"""What Earth Search says of every asset of `sentinel-2-l2a` since 04.00, whatever was done to the file."""


class Ground(StrEnum):
    """What the scene shows."""

    MIXED = "vegetation, water, soil, cloud"
    WATER = "water only"
    DESERT = "desert, nothing dark"
    CROPS = "lush crops only"
    HAZE = "forest only, in haze"
    SMOKE = "forest only, in smoke"
    SNOW = "conifers over snow"
    HAZY_LAND = "vegetation, water, soil, cloud, in haze"
    GLINT = "water only, in the sun's glint"
    TURBID = "water only, an estuary's"
    SHALLOW = "water only, over bright sand"


class Stored(StrEnum):
    """What was done to the files, beyond `numbers`."""

    EVENLY = ""
    BLUE_APART = "blue without the offset, red and nir with it"
    THIRD_OFF = "a third of the scene without the offset, the rest with it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vector:
    """One item, its files, and what must come of them."""

    name: str
    rule: str
    """Key of the row in `imagery.raster.radiometry.table`."""

    collection: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    numbers: tuple[float, float]
    """(scale, offset) that make the stored numbers reflectance: the truth."""

    expected: tuple[float, float] | None
    """(scale, offset) that must come out; None: refused as RadiometryContradictory."""

    ground: Ground = Ground.MIXED
    stored: Stored = Stored.EVENLY
    red: str = "red"
    nir: str = "nir"
    asset: Mapping[str, Any] = field(default_factory=dict)
    """Fields of every asset, or of the one file."""

    without_ranges: bool = False
    """Whether the server of the files gives no parts of them."""

    file_name: str | None = None
    """Of the one file that holds all bands (blue, green, red, nir); None: a file for each."""

    coefficients: tuple[float, ...] = ()
    """Scale of each band where they differ."""


def vectors() -> Iterator[Vector]:
    """All of them, in the table's order, then those that are to be refused."""
    yield from _before_0400()
    yield from _sentinel2_l2a()
    yield from _v0()
    yield from _less_said()
    yield from _half_said()
    yield from _spelled_otherwise()
    yield from _bright()
    yield from _other_sentinel2()
    yield from _landsat()
    yield from _planet()
    yield from _contradictions()


def _before_0400() -> Iterator[Vector]:
    said = {V1_BASELINE: "03.01", V1_FLAG: False}
    yield _l2a("old baseline", "s2-l2a-before-0400", said, OFF, OFF, asset={})
    yield _l2a("old baseline, numbers with the offset", "s2-l2a-before-0400", said, IN, IN, asset={})


def _sentinel2_l2a() -> Iterator[Vector]:
    for flag, rule, right, wrong in (
        (True, "s2-l2a-flag-true", OFF, IN),
        (False, "s2-l2a-flag-false", IN, OFF),
        (None, "s2-l2a-flag-missing", IN, OFF),
    ):
        said: dict[str, Any] = {V1_BASELINE: "05.11"} | ({} if flag is None else {V1_FLAG: flag})
        flagged = "flag missing" if flag is None else f"flag {str(flag).lower()}"
        yield _l2a(f"{flagged}, right", rule, said, right, right)
        yield _l2a(f"{flagged}, wrong", rule, said, wrong, wrong)
    said = {V1_BASELINE: "04.00"}
    yield _l2a("pre-C1", "s2-l2a-flag-missing", said, IN, IN, collection="sentinel-2-pre-c1-l2a")
    yield _l2a("desert, flag true", "s2-l2a-flag-true", said | {V1_FLAG: True}, OFF, OFF, ground=Ground.DESERT)
    yield _l2a("desert, flag false", "s2-l2a-flag-false", said | {V1_FLAG: False}, IN, IN, ground=Ground.DESERT)


def _v0() -> Iterator[Vector]:
    v0 = {"collection": "sentinel-s2-l2a-cogs", "red": "B04", "nir": "B08"}
    for flag, rule, right, wrong in ((True, "s2-v0-flag-true", OFF, IN), (False, "s2-v0-flag-false", IN, OFF)):
        said = {V0_BASELINE: "04.00", V0_FLAG: flag}
        yield _l2a(f"older spelling {str(flag).lower()}, right", rule, said, right, right, **v0)
        yield _l2a(f"older spelling {str(flag).lower()}, wrong", rule, said, wrong, wrong, **v0)


def _less_said() -> Iterator[Vector]:
    said = {V1_BASELINE: "05.09", V1_FLAG: True}
    yield _l2a("the agency's own file", "s2-l2a-original", said, IN, IN, red="red-jp2", nir="nir-jp2")
    yield _l2a("no baseline, right", "s2-l2a-no-baseline", {}, IN, IN)
    yield _l2a("no baseline, wrong", "s2-l2a-no-baseline", {}, OFF, OFF)
    early = {"datetime": "2020-06-01T10:00:00Z"}
    yield _l2a("nothing said, of 2020, right", "s2-l2a-nothing-said", early, OFF, OFF, asset={})
    yield _l2a("nothing said, of 2020, wrong", "s2-l2a-nothing-said", early, IN, IN, asset={})
    late = "s2-l2a-no-baseline-late"
    yield _l2a("nothing said, of 2024, right", late, {}, IN, IN, asset={})
    yield _l2a("nothing said, of 2024, wrong", late, {}, OFF, OFF, asset={})
    anew = early | {"s2:generation_time": "2023-06-01T10:00:00Z"}
    yield _l2a("nothing said, of 2020, processed in 2023", late, anew, IN, IN, asset={}, ground=Ground.DESERT)
    flagged = {V1_FLAG: False}
    yield _l2a("no baseline, flag false", late, flagged, IN, IN, asset={}, ground=Ground.DESERT)


def _half_said() -> Iterator[Vector]:
    c1: dict[str, Any] = {"collection": "sentinel-2-c1-l2a", "ground": Ground.DESERT}
    said = {V1_BASELINE: "05.11"}
    for how, band in (
        ("scale only", {"scale": 0.0001}),
        ("offset only", {"offset": -0.1}),
        ("offset -1000", {"scale": 0.0001, "offset": -1000}),
        ("scale 1, offset 0", {"scale": 1, "offset": 0, "data_type": "uint16"}),
    ):
        yield _l2a(f"Collection 1, {how}", "s2-c1", said, IN, IN, asset={"raster:bands": [band]}, **c1)
    yield _l2a(
        "pre-C1, scale only",
        "s2-l2a-no-baseline-late",
        {},
        IN,
        IN,
        asset={"raster:bands": [{"scale": 0.0001}]},
        collection="sentinel-2-pre-c1-l2a",
        ground=Ground.DESERT,
    )


def _spelled_otherwise() -> Iterator[Vector]:
    desert = {"ground": Ground.DESERT, "asset": {}}
    for baseline in ("5.11", 5.11, "0511", "N0511", 4.0):
        said = {V1_BASELINE: baseline, V1_FLAG: False}
        yield _l2a(f"baseline {baseline!r}", "s2-l2a-flag-false", said, IN, IN, **desert)
    yield _l2a("baseline 2.14 (a number)", "s2-l2a-before-0400", {V1_BASELINE: 2.14}, OFF, OFF, **desert)
    for flag in (1, "1", "true"):
        said = {V1_BASELINE: "05.11", V1_FLAG: flag}
        yield _l2a(f"flag {flag!r}", "s2-l2a-flag-true", said, OFF, OFF, **desert)
    said = {V1_BASELINE: "05.11", V1_FLAG: None, V0_FLAG: True}
    yield _l2a("flag null, the older one true", "s2-l2a-flag-true", said, OFF, OFF, **desert)


def _bright() -> Iterator[Vector]:
    """What is bright without any offset, and what is with it."""
    true, false = {V1_BASELINE: "05.11", V1_FLAG: True}, {V1_BASELINE: "05.11", V1_FLAG: False}
    yield _l2a("crops, flag true, wrong", "s2-l2a-flag-true", true, IN, IN, ground=Ground.CROPS)
    for ground in (Ground.HAZE, Ground.SMOKE, Ground.SNOW, Ground.HAZY_LAND):
        yield _l2a(f"{ground}, flag false", "s2-l2a-flag-false", false, IN, IN, ground=ground)
    for ground in (Ground.GLINT, Ground.TURBID, Ground.SHALLOW):
        yield _l2a(f"{ground}, flag true", "s2-l2a-flag-true", true, OFF, OFF, ground=ground)
        yield _l2a(f"{ground}, flag false", "s2-l2a-flag-false", false, IN, IN, ground=ground)
    yield _l2a("flag false, wrong, no ranges", "s2-l2a-flag-false", false, OFF, OFF, without_ranges=True)
    yield _l2a("flag true, wrong, no ranges", "s2-l2a-flag-true", true, IN, IN, without_ranges=True)


def _other_sentinel2() -> Iterator[Vector]:
    said = {V1_BASELINE: "05.11"}
    yield _l2a("Collection 1, right", "s2-c1", said, IN, IN, collection="sentinel-2-c1-l2a")
    yield _l2a("Collection 1, wrong", "s2-c1", said, OFF, OFF, collection="sentinel-2-c1-l2a")
    l1c = {"collection": "sentinel-2-l1c", "asset": {}}
    yield _l2a("L1C, old baseline", "s2-l1c-before-0400", {V1_BASELINE: "02.07"}, OFF, OFF, **l1c)
    yield _l2a("L1C", "s2-l1c", {V1_BASELINE: "05.11"}, IN, IN, **l1c)


def _landsat() -> Iterator[Vector]:
    reflectance, kelvin = (0.0000275, -0.2), (0.00341802, 149.0)
    for name, rule, pair, keys in (
        ("Landsat reflectance", "landsat-sr", reflectance, {"red": "red", "nir": "nir08"}),
        ("Landsat temperature", "landsat-st", kelvin, {"red": "lwir11", "nir": "lwir11"}),
    ):
        bands = {"raster:bands": [{"scale": pair[0], "offset": pair[1]}]}
        half = {"raster:bands": [{"scale": pair[0]}]}
        for how, asset in (("raster:bands", bands), ("scale only", half), ("nothing said", {})):
            yield Vector(
                name=f"{name}, {how}",
                rule=rule,
                collection="landsat-c2-l2",
                numbers=pair,
                expected=pair,
                asset=asset,
                **keys,
            )


def _planet() -> Iterator[Vector]:
    yield _psscene("surface reflectance, 4 bands", "planet-sr", OFF, OFF, key="ortho_analytic_4b_sr")
    yield _psscene("surface reflectance, 8-band name", "planet-sr", OFF, OFF, key="ortho_analytic_8b_sr")
    yield _psscene("toar", "planet-toar", OFF, OFF, file_name="x_3B_AnalyticMS_toar_clip.tif")
    half = (1 / 20_000, 0.0)
    told = {"imagery:toar_scale_factor": 20_000}
    yield _psscene("toar x 20000", "planet-toar", half, half, file_name="x_3B_AnalyticMS_toar.tif", asset=told)
    # Of a real scene (planet-disaster-data, 20170831_172754_101c).
    real = (1.81512636125e-05, 1.92266681265e-05, 2.14155262585e-05, 3.22221688359e-05)
    told_each = {"raster:bands": [{"reflectanceCoefficient": one} for one in real]}
    yield _psscene("radiance with coefficients", "planet-radiance", OFF, OFF, asset=told_each, coefficients=real)


def _contradictions() -> Iterator[Vector]:
    true, false = {V1_BASELINE: "05.11", V1_FLAG: True}, {V1_BASELINE: "05.11", V1_FLAG: False}
    apart, third = Stored.BLUE_APART, Stored.THIRD_OFF
    yield _l2a("bands apart, flag true", "s2-l2a-flag-true", true, IN, None, stored=apart)
    yield _l2a("bands apart, flag false", "s2-l2a-flag-false", false, IN, None, stored=apart)
    yield _l2a("bands apart, Collection 1", "s2-c1", {}, IN, None, stored=apart, collection="sentinel-2-c1-l2a")
    yield _l2a("a third off, flag false", "s2-l2a-flag-false", false, IN, None, stored=third)
    yield _l2a("a third off, flag missing", "s2-l2a-flag-missing", {V1_BASELINE: "04.00"}, IN, None, stored=third)
    yield _l2a("only water, with the offset, flag true", "s2-l2a-flag-true", true, IN, None, ground=Ground.WATER)
    for ground in (Ground.HAZE, Ground.SMOKE, Ground.SNOW, Ground.HAZY_LAND):
        yield _l2a(f"{ground}, flag true", "s2-l2a-flag-true", true, OFF, None, ground=ground)
    old = {V1_BASELINE: "02.14"}
    yield _l2a("forest in haze, old baseline", "s2-l2a-before-0400", old, OFF, None, ground=Ground.HAZE, asset={})
    foreign = {"raster:bands": [{"scale": 0.0000275, "offset": -0.2}]}
    yield _l2a("another product's scale", "s2-l2a-flag-false", false, IN, None, asset=foreign)
    yield _l2a(
        "another offset",
        "s2-c1",
        {},
        IN,
        None,
        asset={"raster:bands": [{"scale": 0.0001, "offset": 0.1}]},
        collection="sentinel-2-c1-l2a",
    )


def _l2a(
    name: str,
    rule: str,
    properties: Mapping[str, Any],
    numbers: tuple[float, float],
    expected: tuple[float, float] | None,
    *,
    collection: str = "sentinel-2-l2a",
    asset: Mapping[str, Any] = LIE,
    **changes: Any,
) -> Vector:
    return Vector(
        name=name,
        rule=rule,
        collection=collection,
        properties=properties,
        numbers=numbers,
        expected=expected,
        asset=asset,
        **changes,
    )


def _psscene(
    name: str,
    rule: str,
    numbers: tuple[float, float],
    expected: tuple[float, float],
    *,
    key: str = "ortho_analytic_4b",
    file_name: str = "x_3B_AnalyticMS.tif",
    **changes: Any,
) -> Vector:
    return Vector(
        name=f"Planet {name}",
        rule=rule,
        collection="PSScene",
        numbers=numbers,
        expected=expected,
        red=key,
        nir=key,
        file_name=file_name,
        **changes,
    )


INTRO = """# Reference: what a stored number means

Written by `tests/reference/radiometry.py`; `tests/reference/test_radiometry_vectors.py` holds the page to the table
and the code to the page. Each row is made as files of known reflectance, with overviews and without; what comes out
must give an NDVI within 0.002 of the true one (temperatures: within 0.01 K), and what contradicts itself is refused.
So is what cannot be told apart: forest in haze without the offset and dark forest with it are the same numbers.
physical value = stored number x scale + offset; 0 is no data.

How the pixels are asked is told in `imagery/raster/radiometry/judging.py` and `gathering.py`. To write this page
anew after a change of the table: `python -c "from tests.reference.radiometry import write; write()"`.
"""


def page() -> str:
    """The reference page, as Markdown."""
    lines = [INTRO, "## The table\n", "| row | product | the metadata says | scale | offset | gives | source |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [_row(rule) for rule in TABLE]
    lines += [
        "\n## The vectors\n",
        "| vector | row | the numbers are | shows | what comes out |",
        "|---|---|---|---|---|",
    ]
    lines += [_vector(one) for one in vectors()]
    return "\n".join(lines) + "\n"


def write() -> None:
    """The page, beside this file."""
    PAGE.write_text(page(), "utf-8")


def _row(rule: Rule) -> str:
    scale = "each band's own" if rule.scale is None else f"{rule.scale:.9g}"
    offset = "the item's" if rule.offset is None else f"{rule.offset:g}"
    cells = (f"`{rule.key}`", rule.product, rule.says, scale, offset, rule.quantity, rule.authority)
    return "| " + " | ".join(cells) + " |"


def _vector(one: Vector) -> str:
    stored = "each band's coefficient" if one.coefficients else _pair(one.numbers)
    numbers = (one.stored.value or stored) + (", served without ranges" if one.without_ranges else "")
    cells = (one.name, f"`{one.rule}`", numbers, one.ground.value, _outcome(one))
    return "| " + " | ".join(cells) + " |"


def _outcome(one: Vector) -> str:
    if one.expected is None:
        return "refused: `RadiometryContradictory`"
    if one.coefficients:
        return "each band's coefficient"
    by_metadata = IN[1] if one.rule == "s2-l2a-no-baseline" else RULES[one.rule].offset
    return _pair(one.expected) + ("" if one.expected[1] == by_metadata else " (the pixels win)")


def _pair(pair: tuple[float, float]) -> str:
    return f"x {pair[0]:.9g}" + (f" {'+' if pair[1] > 0 else '-'} {abs(pair[1]):g}" if pair[1] else "")
