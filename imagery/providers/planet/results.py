"""Which file of an order is which asset of which item: by the manifest's annotations, else by its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from imagery.model.order import Result
from imagery.providers.planet.manifest import Listed, listed_as

MANIFEST = "manifest.json"

_KINDS: tuple[tuple[str, str], ...] = (
    (r"3B_AnalyticMS_SR_8b", "ortho_analytic_8b_sr"),
    (r"3B_AnalyticMS_SR", "ortho_analytic_4b_sr"),
    (r"3B_AnalyticMS_8b_metadata", "ortho_analytic_8b_xml"),
    (r"3B_AnalyticMS_metadata", "ortho_analytic_4b_xml"),
    (r"3B_AnalyticMS_8b", "ortho_analytic_8b"),
    (r"3B_AnalyticMS", "ortho_analytic_4b"),
    (r"3B_udm2", "ortho_udm2"),
    (r"3B_Analytic_metadata", "ortho_analytic_3b_xml"),
    (r"3B_Analytic", "ortho_analytic_3b"),
    (r"3B_Visual", "ortho_visual"),
)
"""What follows the item's id in the name of a PSScene's file → its asset key; the more particular first."""

_TREATED = r"(?:_(?:harmonized|clip|toar|reproject|file_format|cog|\d+))*\.(?:tif|xml)"
"""Tools leave their names."""


def manifest_of(results: Iterable[Result]) -> Result | None:
    """The manifest among an order's files."""
    return next((one for one in results if PurePosixPath(one.name).name == MANIFEST), None)


def is_zipped(results: Sequence[Result]) -> bool:
    """Whether its files came in archives, which an order of ours never asks for."""
    return any(one.name.lower().endswith(".zip") for one in results)


def wanted_files(
    results: Sequence[Result], manifest: Sequence[Listed], *, item_ids: Sequence[str], assets: Sequence[str]
) -> Mapping[tuple[str, str], Result]:
    """(item id, asset key) → its file, for those that were asked for and are there."""
    found: dict[tuple[str, str], Result] = {}
    for result in results:
        key = _key_of(result, listed_as(result.name, manifest), item_ids)
        if key is not None and key[1] in assets:
            found.setdefault(key, result)
    return found


def _key_of(result: Result, listed: Listed | None, item_ids: Sequence[str]) -> tuple[str, str] | None:
    by_name = _by_name(PurePosixPath(result.name).name, item_ids)
    if by_name is not None or listed is None:
        return by_name  # tools may have renamed the asset in the annotation (`ortho_analytic_4b_sr_clip`)
    if listed.item_id is None or listed.item_id not in item_ids or listed.asset_key is None:
        return None
    return listed.item_id, listed.asset_key


def _by_name(name: str, item_ids: Sequence[str]) -> tuple[str, str] | None:
    # The longest first: one id may begin another (20200111_145816_1_0f1a, 20200111_145816).
    for item_id in sorted(item_ids, key=len, reverse=True):
        for pattern, asset in _KINDS if name.startswith(f"{item_id}_") else ():
            if re.fullmatch(pattern + _TREATED, name[len(item_id) + 1 :]):
                return item_id, asset
    return None
