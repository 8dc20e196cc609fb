"""Which of a provider's items show the same moment: tiles, processings and levels of one pass of one satellite."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac

_DATATAKE = re.compile(r"G(S2[A-D])_(\d{8}T\d{6})_")
_SAFE = re.compile(r"(S2[A-D])_MSIL(\d)[AC]_(\d{8}T\d{6})_(?:N(\d{4})_)?R\d{3}_T(\d{2}[A-Z]{3})_(\d{8}T\d{6})")
"""What ESA calls a product; `N` and the baseline are missing from some catalogs' item ids."""

_DATASTRIP = re.compile(r"_S(\d{8}T\d{6})(?:_|$)")
_S2_ID = re.compile(r"(S2[A-D])_T?(\d{2}[A-Z]{3})_(\d{8}(?:T\d{6})?)(?:_(\d+))?_L(\d)[AC]")
"""Earth Search: `S2A_33TWN_20161202_0_L2A`; of Collection 1 `S2B_T37MGP_20240710T073012_L2A`."""

_LANDSAT_ID = re.compile(r"L[A-Z](\d\d)_L(\d)[A-Z]{2}_(\d{3})(\d{3})_(\d{8})")
_LANDSAT_PLATFORM = re.compile(r"landsat[-_ ]?(\d)", re.IGNORECASE)

_LANDSAT_GRADES = ("L1GS", "L1GT", "L1TP", "L2SR", "L2SP")
_LANDSAT_TIERS = ("RT", "A2", "T2", "A1", "T1")
_PLANET_STAGES = ("preview", "standard", "finalized")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Rank:
    """Which of two items of one ground of one acquisition is the better one: the greater."""

    level: int = 0
    """2 over 1: of different levels the numbers mean different things, and are never laid side by side."""

    baseline: tuple[int, ...] = ()
    """The processor's version, and the provider's word for how final it is."""

    generated: str = ""
    """When it was processed, RFC 3339."""

    sequence: int = 0
    updated: str = ""
    item_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquisition:
    """Where an item stands among those of the same moment."""

    id: str
    """The same for all tiles, processings and levels."""

    tile: str
    """The same for all processings of the same ground."""

    rank: Rank


def acquisition_of_item(item: pystac.Item) -> Acquisition:
    """Taken from what the item says of itself, whatever catalog it comes from.

    One of which nothing is known that others could have in common is an acquisition of its own.
    """
    return _sentinel_2(item) or _landsat(item) or _planet(item) or _alone(item)


def _sentinel_2(item: pystac.Item) -> Acquisition | None:
    said = item.properties
    datatake = _DATATAKE.match(_text(said, "s2:datatake_id"))
    safe = _SAFE.search(_text(said, "s2:product_uri", "sentinel:product_id")) or _SAFE.search(item.id)
    named = _S2_ID.fullmatch(item.id)
    if datatake:
        name = f"{datatake[1]}_{datatake[2]}"
    elif safe:
        name = f"{safe[1]}_{safe[3]}"
    elif named:
        # Tiles of one datastrip; a sensing time to the day alone is one pass of a satellite over a place.
        name = f"{named[1]}_{named[3]}"
    else:
        return None
    tile = _mgrs_tile(said) or (safe[5] if safe else "") or (named[2] if named else "") or item.id
    # At the seam of two datastrips a tile comes twice, each with its part; a reprocessed one starts when it started.
    datastrip = _DATASTRIP.search(_text(said, "s2:datastrip_id"))
    level = _digit(_text(said, "s2:product_type"), r"S2MSI(\d)") or (safe and int(safe[2])) or (named and int(named[5]))
    baseline = _text(said, "s2:processing_baseline", "sentinel:processing_baseline") or (safe[4] if safe else "") or ""
    sequence = _text(said, "s2:sequence", "sentinel:sequence") or (named[4] if named and named[4] else "")
    return Acquisition(
        id=name,
        tile=f"{tile}_{datastrip[1]}" if datastrip else tile,
        rank=Rank(
            level=level or 0,
            baseline=_version(baseline),
            generated=_instant(said, "s2:generation_time") or _compact(safe[6] if safe else ""),
            sequence=_number(sequence),
            updated=_updated(item),
            item_id=item.id,
        ),
    )


def _mgrs_tile(said: dict[str, Any]) -> str:
    code = _text(said, "grid:code")
    if code.startswith("MGRS-"):
        return code.removeprefix("MGRS-")
    if tile := _text(said, "s2:mgrs_tile"):
        return tile.removeprefix("T")
    for prefix in ("mgrs", "sentinel"):
        parts = [_text(said, f"{prefix}:{name}") for name in ("utm_zone", "latitude_band", "grid_square")]
        if all(parts):
            return parts[0].zfill(2) + "".join(parts[1:])
    return ""


def _landsat(item: pystac.Item) -> Acquisition | None:
    said, named = item.properties, _LANDSAT_ID.match(item.id)
    platform = _LANDSAT_PLATFORM.fullmatch(_text(said, "platform"))
    number = int(platform[1]) if platform else int(named[1]) if named else None
    path = _text(said, "landsat:wrs_path") or (named[3] if named else "")
    row = _text(said, "landsat:wrs_row") or (named[4] if named else "")
    at = item.datetime
    if number is None or not path.isdigit() or not row or (at is None and named is None):
        return None
    day = _pass_day(at, int(path)) if at else (named[5] if named else "")
    grade = _text(said, "landsat:correction")
    tier = _text(said, "landsat:collection_category") or item.id.rpartition("_")[2]
    return Acquisition(
        id=f"L{number:02d}_{int(path):03d}_{day}",
        tile=row.zfill(3),
        rank=Rank(
            level=_digit(grade, r"L(\d)") or (int(named[2]) if named else 0),
            baseline=(
                _number(_text(said, "landsat:collection_number")),
                _place(_LANDSAT_TIERS, tier),
                _place(_LANDSAT_GRADES, grade),
            ),
            generated=_instant(said, "landsat:product_generated"),
            updated=_updated(item),
            item_id=item.id,
        ),
    )


def _pass_day(at: datetime, path: int) -> str:
    """The day of the pass, even where midnight (UTC) falls between two of its rows: over the east of Australia.

    Paths of WRS-2 lie 360/233 degrees apart, the first at 64.6 W on the equator; all are flown at ten, local time.
    """
    longitude = (-64.6 - (path - 1) * 360 / 233 + 180) % 360 - 180
    usual = timedelta(hours=(10 - longitude / 15) % 24)
    # Twelve hours either side of the usual time belong to one day.
    return (_utc(at) - usual + timedelta(hours=12)).strftime("%Y%m%d")


def _planet(item: pystac.Item) -> Acquisition | None:
    """An acquisition of its own: others of its strip would have to be ordered, and paid for, to be looked at."""
    said = item.properties
    if not _text(said, "pl:strip_id", "strip_id", "pl:item_type"):
        return None
    stage = _text(said, "pl:publishing_stage", "publishing_stage")
    rank = Rank(
        baseline=(_place(_PLANET_STAGES, stage),),
        generated=_instant(said, "published"),
        updated=_updated(item),
        item_id=item.id,
    )
    return Acquisition(id=item.id, tile=item.id, rank=rank)


def _alone(item: pystac.Item) -> Acquisition:
    return Acquisition(id=item.id, tile=item.id, rank=Rank(updated=_updated(item), item_id=item.id))


def _text(said: dict[str, Any], *names: str) -> str:
    """The first that is said, as text; catalogs write some numbers both ways."""
    for name in names:
        value = said.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return ""


def _updated(item: pystac.Item) -> str:
    return _instant(item.properties, "updated", "created")


def _instant(said: dict[str, Any], *names: str) -> str:
    """Of one spelling, so that texts sort as instants do; empty for what is none."""
    for name in names:
        try:
            return _spelled(datetime.fromisoformat(_text(said, name)))
        except (ValueError, OverflowError):
            continue
    return ""


def _compact(text: str) -> str:
    try:
        return _spelled(datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC))
    except ValueError:
        return ""


def _spelled(at: datetime) -> str:
    return _utc(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _version(text: str) -> tuple[int, ...]:
    """`05.09` and `0509` are one: (5, 9)."""
    if re.fullmatch(r"\d{4}", text):
        return (int(text[:2]), int(text[2:]))
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _digit(text: str, pattern: str) -> int | None:
    found = re.match(pattern, text)
    return int(found[1]) if found else None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _place(order: Iterable[str], text: str) -> int:
    """1 for the first; 0 for what is not in it."""
    return list(order).index(text) + 1 if text in order else 0
