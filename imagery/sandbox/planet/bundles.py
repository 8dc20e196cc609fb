"""Which assets Planet's item types have, which bundles hold them, and what their files are called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ITEM_TYPE = "PSScene"

ASSETS: Mapping[str, str] = {
    "ortho_analytic_4b": "3B_AnalyticMS.tif",
    "ortho_analytic_4b_sr": "3B_AnalyticMS_SR.tif",
    "ortho_analytic_4b_xml": "3B_AnalyticMS_metadata.xml",
    "ortho_analytic_8b": "3B_AnalyticMS_8b.tif",
    "ortho_analytic_8b_sr": "3B_AnalyticMS_SR_8b.tif",
    "ortho_analytic_8b_xml": "3B_AnalyticMS_8b_metadata.xml",
    "ortho_udm2": "3B_udm2.tif",
    "ortho_visual": "3B_Visual.tif",
}
"""Asset type of a PSScene → what follows the item's id in the name of its file."""

BUNDLES: Mapping[str, tuple[str, ...]] = {
    "analytic_udm2": ("ortho_analytic_4b", "ortho_analytic_4b_xml", "ortho_udm2"),
    "analytic_8b_udm2": ("ortho_analytic_8b", "ortho_analytic_8b_xml", "ortho_udm2"),
    "analytic_sr_udm2": ("ortho_analytic_4b_sr", "ortho_analytic_4b_xml", "ortho_udm2"),
    "analytic_8b_sr_udm2": ("ortho_analytic_8b_sr", "ortho_analytic_8b_xml", "ortho_udm2"),
    "analytic_3b_udm2": ("ortho_analytic_3b", "ortho_analytic_3b_xml", "ortho_udm2"),
    "visual": ("ortho_visual",),
}
"""Those of PSScene that matter here; Planet has about thirty. No scene here has three or eight bands: what falls back
does so."""


def item_type_document(url: str) -> dict[str, Any]:
    """What GET /data/v1/item-types/PSScene says."""
    return {
        "_links": {"_self": f"{url}/data/v1/item-types/{ITEM_TYPE}"},
        "display_description": "PlanetScope Scenes",
        "display_name": "PlanetScope Scene",
        "id": ITEM_TYPE,
        "supported_asset_types": sorted({key for keys in BUNDLES.values() for key in keys}),
    }


def bundles_spec() -> dict[str, Any]:
    """What GET /compute/ops/bundles/spec says, which the SDK reads bundles and item types from."""
    return {
        "version": "1.0.0",
        "bundles": {
            name: {
                "name": name.replace("_", " "),
                "description": f"{', '.join(keys)}",
                "assets": {ITEM_TYPE: list(keys)},
                "auxiliaryFiles": "Metadata JSON",
            }
            for name, keys in BUNDLES.items()
        },
    }
