"""What was measured over the AOI → properties of the item we publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagery.model.quality import Quality

_COVERS = ("eo:cloud_cover", "eo:snow_cover")


def measured(kept: Mapping[str, Any], quality: Quality | None, coverage: float) -> dict[str, Any]:
    """Properties that take the place of those `kept` of the source's.

    With `quality`: the fractions of the AOI, its own cloud and snow cover in percent (None where nothing of it is
    shown: the scene's would be taken for the AOI's), and the scene's cloud cover under a name of ours. Without: the
    scene's stay, and `coverage` is all that is known of the AOI.
    """
    if quality is None:
        return {**kept, "imagery:coverage": round(coverage, 6)}
    scene = kept.get("eo:cloud_cover")
    covers = {"eo:cloud_cover": quality.cloud_cover, "eo:snow_cover": quality.snow_cover}
    fractions = {
        "clear": quality.clear,
        "cloud": quality.cloud,
        "shadow": quality.shadow,
        "snow": quality.snow,
        "water": quality.water,
        "unknown": quality.unknown,
        "nodata": quality.nodata,
    }
    return {
        **{name: value for name, value in kept.items() if name not in _COVERS},
        **{name: round(percent, 4) for name, percent in covers.items() if percent is not None},
        **({"imagery:scene_cloud_cover": scene} if scene is not None else {}),
        **{f"imagery:{name}_fraction": round(fraction, 6) for name, fraction in fractions.items()},
        "imagery:coverage": round(quality.coverage, 6),
    }
