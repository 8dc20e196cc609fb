"""What a person may ask of the demo, and the subscription that it comes to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path
from typing import Any

from imagery.errors import InvalidInput
from imagery.model.codec import format_instant, parse_instant, to_dict
from imagery.model.processing import Processing
from imagery.model.subscription import Filters
from imagery.sandbox.fields import default_aoi
from imagery.sandbox.scenes import Scenes

PROVIDER = "sandbox"
"""Not `earth-search`: a service started later on the same state must not look for the demo's scenes at the real one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """Everything but `state_dir` may be left out."""

    state_dir: Path
    data: Path | None = None
    """Folder of scenes; None: synthetic ones."""

    aoi: Mapping[str, Any] | None = None
    """GeoJSON geometry; None: one that the scenes fill."""

    collection: str | None = None
    """None: the one most scenes are of."""

    assets: tuple[str, ...] = ()
    """Empty: all that every scene has."""

    start_at: datetime | None = None
    end_at: datetime | None = None
    """None: so that all scenes lie in between."""

    filters: Filters = field(default_factory=Filters)
    processing: Processing = field(default_factory=Processing)
    port: int = 8080
    """Preferred; the next one is the sandbox's. Others are taken when they are not free."""

    planet: bool = False
    """Order from a local Planet, instead of reading from a local Earth Search."""

    fresh: bool = False
    """Forget what earlier demos left in `state_dir`."""


def subscription_body(wishes: Wishes, scenes: Scenes) -> dict[str, Any]:
    """The body for POST /v1/subscriptions: the same for the same wishes and scenes. Raises InvalidInput."""
    collection = wishes.collection or scenes.main_collection
    dates = sorted(_acquired_at(scene.item) for scene in scenes.scenes if scene.collection == collection)
    if not dates:
        there = ", ".join(sorted({scene.collection for scene in scenes.scenes}))
        raise InvalidInput(f"the scenes hold no collection {collection!r}; there is: {there}", field="--collection")
    return body_of(
        wishes,
        provider=PROVIDER,
        aoi=wishes.aoi or default_aoi(scenes),
        collection=collection,
        assets=wishes.assets or scenes.asset_keys(collection),
        dates=dates,
    )


def body_of(
    wishes: Wishes,
    *,
    provider: str,
    aoi: Mapping[str, Any],
    collection: str,
    assets: Sequence[str],
    dates: Sequence[datetime],
) -> dict[str, Any]:
    """What is wished, with these for what is not; `dates` are those of all scenes, the oldest first."""
    start_at = wishes.start_at or datetime.combine(dates[0].date(), time.min, dates[0].tzinfo)
    end_at = wishes.end_at or datetime.combine(dates[-1].date(), time.max, dates[-1].tzinfo)
    body: dict[str, Any] = {
        "aoi": dict(aoi),
        "provider": provider,
        "collection": collection,
        "assets": list(assets),
        "start_at": format_instant(start_at),
        "end_at": format_instant(end_at),
        "filters": {
            "max_cloud_cover": wishes.filters.max_cloud_cover,
            "min_coverage": wishes.filters.min_coverage,
        },
    }
    # What is not asked for is not named: the body, and so the subscription, is the one of earlier versions' demos.
    if wishes.filters.min_clear_fraction is not None:
        body["filters"]["min_clear_fraction"] = wishes.filters.min_clear_fraction
    if wishes.processing != Processing():
        body["processing"] = to_dict(wishes.processing)
    return body


def idempotency_key(wishes: Wishes, body: Mapping[str, Any]) -> str:
    """Names the subscription after all it is made of, so that a second demo goes on with the first one's."""
    data = str(wishes.data.resolve()) if wishes.data else "synthetic"
    return "demo-" + hashlib.sha256(json.dumps([data, body], sort_keys=True).encode()).hexdigest()[:48]


def _acquired_at(item: Mapping[str, Any]) -> datetime:
    properties = item["properties"]
    return parse_instant(properties.get("datetime") or properties["start_datetime"])
