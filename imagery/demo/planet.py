"""The demo whose provider is a local Planet: what it subscribes to, and how the service is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from imagery.demo.wishes import Wishes, body_of
from imagery.errors import InvalidInput
from imagery.model.codec import parse_instant
from imagery.model.subscription import Filters
from imagery.sandbox.planet.bundles import ITEM_TYPE
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.opening import LocalPlanet
from imagery.settings import Settings
from imagery.wiring_planet import PROVIDER

API_KEY = "key-of-the-demo"
"""The local Planet takes any."""

ASSETS = ("ortho_analytic_4b_sr", "ortho_udm2")

CLEAR_ENOUGH = Filters(min_clear_fraction=0.5)
"""When nothing is asked for: so that a demo shows what is not ordered, and what is counted in the UDM2 of the rest."""


def planet_body(wishes: Wishes, planet: LocalPlanet, now: datetime) -> dict[str, Any]:
    """The body for POST /v1/subscriptions: the same for the same wishes and scenes. Raises InvalidInput."""
    catalogue = planet.account.catalogue
    # Those that are published in a while count: a second demo must come to the same dates.
    scenes = catalogue.list(now + timedelta(days=1))
    dates = sorted(parse_instant(str(scene.properties["acquired"])) for scene in scenes)
    if wishes.collection not in (None, ITEM_TYPE) or not dates:
        raise InvalidInput(f"the local Planet holds {len(dates)} scenes, all of {ITEM_TYPE}", field="--collection")
    return body_of(
        replace(wishes, filters=CLEAR_ENOUGH) if wishes.filters == Filters() else wishes,
        provider=PROVIDER,
        aoi=wishes.aoi or _aoi(catalogue),
        collection=ITEM_TYPE,
        assets=wishes.assets or ASSETS,
        dates=dates,
    )


def planet_settings(data_dir: Path, *, planet_url: str, api_url: str) -> Settings:
    """Of a service that Planet can call."""
    return Settings(
        data_dir=data_dir,
        stac_providers={},
        public_catalog=True,
        public_url=api_url,
        planet_api_key=API_KEY,
        planet_url=planet_url,
    )


def _aoi(catalogue: Catalogue) -> Mapping[str, Any]:
    if catalogue.aoi is None:
        raise InvalidInput("give the area to subscribe to", field="--aoi")
    return catalogue.aoi
