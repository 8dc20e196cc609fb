"""Which of Planet's bundles holds the assets that are wished for. Pure.

Orders name bundles, subscriptions name assets. Images that differ only in their number of bands may be wished for
together (`ortho_analytic_8b_sr`, `ortho_analytic_4b_sr`): no bundle holds both, and what is meant is the first of them
that the item has. That is Planet's fallback; without such a wish another image never takes the place of the one asked
for, because a series that changes its bands from one day to the next is worse than a gap.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

from imagery.errors import ProviderRefused

BUNDLES: Mapping[str, Mapping[str, frozenset[str]]] = {
    "PSScene": {
        "analytic_8b_sr_udm2": frozenset({"ortho_analytic_8b_sr", "ortho_analytic_8b_xml", "ortho_udm2"}),
        "analytic_sr_udm2": frozenset({"ortho_analytic_4b_sr", "ortho_analytic_4b_xml", "ortho_udm2"}),
        "analytic_8b_udm2": frozenset({"ortho_analytic_8b", "ortho_analytic_8b_xml", "ortho_udm2"}),
        "analytic_udm2": frozenset({"ortho_analytic_4b", "ortho_analytic_4b_xml", "ortho_udm2"}),
        "analytic_3b_udm2": frozenset({"ortho_analytic_3b", "ortho_analytic_3b_xml", "ortho_udm2"}),
        "visual": frozenset({"ortho_visual"}),
    }
}
"""Item type → bundle → its assets (api.planet.com/compute/ops/bundles/spec of 2024-08-12), those that can be clipped;
the one preferred first where several hold what is wished for."""

_KIND = re.compile(r"(?P<before>ortho_analytic)_[348]b(?P<after>_sr|_xml|)")


def alternatives(assets: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The wish in groups, in its own order: of each group one asset is enough, the first before the others."""
    groups: dict[str, list[str]] = {}
    for key in dict.fromkeys(assets):
        match = _KIND.fullmatch(key)
        groups.setdefault(f"{match['before']}{match['after']}" if match else key, []).append(key)
    return tuple(tuple(group) for group in groups.values())


def bundles_of(collection: str, assets: Sequence[str]) -> tuple[str, ...]:
    """The bundle to order and those to fall back on, the preferred first. Raises ProviderRefused when none will do."""
    known = BUNDLES.get(collection)
    if known is None:
        raise ProviderRefused(
            f"{collection} cannot be ordered yet; choose one of: {', '.join(BUNDLES)}, or leave the subscription"
        )
    found = {
        name: None
        for wished in product(*alternatives(assets))
        for name, holds in known.items()
        if assets and set(wished) <= holds
    }
    if found:
        return tuple(found)
    raise ProviderRefused(
        f"no bundle of Planet's holds {', '.join(assets) or 'no asset'} together; choose the assets from one of: "
        + " | ".join(", ".join(sorted(holds)) for holds in known.values())
    )
