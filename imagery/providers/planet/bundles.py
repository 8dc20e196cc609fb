"""Which of Planet's bundles holds the assets that are wished for. Pure.

Orders name bundles, subscriptions name assets. What no single bundle holds together becomes several products of one
order. A bundle falls back only on others that hold the same of the wish (a mask comes with any image): another image
never takes the place of the one asked for, because a series that changes its bands from one day to the next is worse
than a gap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def products_of(collection: str, assets: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """For each product of an order its bundle, followed by those to fall back on. As few products as will do.

    Raises ProviderRefused for an asset that no bundle holds.
    """
    known = BUNDLES.get(collection)
    if known is None:
        raise ProviderRefused(f"{collection} cannot be ordered yet; choose one of: {', '.join(BUNDLES)}")
    products: list[tuple[str, ...]] = []
    missing = frozenset(assets)
    while missing or not products:
        held = max((holds & missing for holds in known.values()), key=len)
        if not held:
            raise ProviderRefused(
                f"no bundle of Planet's holds {', '.join(sorted(missing)) or 'nothing'}; choose assets from: "
                + ", ".join(sorted(frozenset[str]().union(*known.values())))
            )
        products.append(tuple(name for name, holds in known.items() if held <= holds))
        missing -= held
    return tuple(products)
