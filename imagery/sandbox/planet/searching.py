"""Searches of the local Planet: kept under an id, sorted, and paged by opaque tokens as recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from imagery.model.codec import parse_instant
from imagery.sandbox.planet.bundles import ITEM_TYPE
from imagery.sandbox.planet.catalogue import PlanetScene
from imagery.sandbox.planet.filters import parse_filter
from imagery.sandbox.planet.refusals import Refusal, invalid_query

MAX_PAGE_SIZE = 250
SORTS = ("published desc", "published asc", "acquired desc", "acquired asc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Where in a search a page begins, and in what order the search is read."""

    size: int
    by: str
    """`published` or `acquired`."""

    is_descending: bool
    start: str | None = None
    """The sort value of the last item before it; None: it is the first page."""

    last_id: str | None = None

    @classmethod
    def first(cls, parameters: Mapping[str, str]) -> Page:
        """By `_sort` and `_page_size`. Raises Refusal."""
        sort = parameters.get("_sort", SORTS[0]).lower()
        if sort not in SORTS:
            raise invalid_query({"_sort": [f"'{sort}' is not one of {list(SORTS)}"]})
        try:
            size = int(parameters.get("_page_size", MAX_PAGE_SIZE))
        except ValueError:
            raise invalid_query({"_page_size": ["must be a number"]}) from None
        by, _, direction = sort.partition(" ")
        return cls(size=max(1, min(size, MAX_PAGE_SIZE)), by=by, is_descending=direction == "desc")

    @classmethod
    def of_token(cls, token: str) -> Page:
        """Raises Refusal for one that is not ours."""
        try:
            said = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            page = cls(
                size=int(said["page_size"]),
                by=str(said["sort_by"]),
                is_descending=bool(said["sort_desc"]),
                start=said["sort_start"],
                last_id=said["sort_last_id"],
            )
            if page.by not in ("published", "acquired") or not 1 <= page.size <= MAX_PAGE_SIZE:
                raise ValueError(page.by)
            if page.start is not None:
                parse_instant(page.start)
        except (ValueError, KeyError, TypeError) as error:
            raise invalid_query({"_page": ["the token is not one of a page"]}) from error
        return page

    @property
    def token(self) -> str:
        """As recorded: JSON in base64."""
        said = {
            "page_size": self.size,
            "sort_by": self.by,
            "sort_desc": self.is_descending,
            "sort_start": self.start,
            "sort_last_id": self.last_id,
            "sort_prev": False,
            "query_params": {},
        }
        return base64.urlsafe_b64encode(json.dumps(said).encode()).decode()

    def after(self, scene: PlanetScene) -> Page:
        """The page that follows one that ends with this scene."""
        start = str(scene.properties[self.by])
        return Page(size=self.size, by=self.by, is_descending=self.is_descending, start=start, last_id=scene.id)

    def rank(self, scene: PlanetScene) -> tuple[datetime, str]:
        """What it is sorted by."""
        return parse_instant(str(scene.properties[self.by])), scene.id

    def cut(self, scenes: list[PlanetScene]) -> list[PlanetScene]:
        """The scenes of this page among all that match."""
        ordered = sorted(scenes, key=self.rank, reverse=self.is_descending)
        if self.start is not None:
            here = (parse_instant(self.start), self.last_id or "")
            ordered = [
                one for one in ordered if (self.rank(one) < here if self.is_descending else self.rank(one) > here)
            ]
        return ordered[: self.size]


def check_search(document: object) -> dict[str, Any]:
    """The body of a search. Raises Refusal with every place that is wrong."""
    if not isinstance(document, dict):
        raise invalid_query({"": [f"{document!r} is not of type 'object'"]})
    problems = {name: [f"'{name}' is a required property"] for name in ("item_types", "filter") if name not in document}
    if problems:
        raise invalid_query(problems)
    if not isinstance(document["item_types"], list) or not document["item_types"]:
        raise invalid_query({"item_types": [f"{document['item_types']!r} is not of type 'array'"]})
    for number, one in enumerate(document["item_types"]):
        if not isinstance(one, str):
            raise invalid_query({f"item_types.{number}": [f"{one!r} is not of type 'string'"]})
    parse_filter(document["filter"])
    return document


def matching(document: Mapping[str, Any], scenes: tuple[PlanetScene, ...], now: datetime) -> list[PlanetScene]:
    """Those a checked search means. Raises Refusal for a geometry beside the filter that cannot be read."""
    if ITEM_TYPE not in document["item_types"]:
        return []
    tests = [parse_filter(document["filter"])]
    if document.get("geometry"):
        tests.append(
            parse_filter(
                {"type": "GeometryFilter", "field_name": "geometry", "config": document["geometry"]}, place="geometry"
            )
        )
    if isinstance(document.get("asset_types"), list) and document["asset_types"]:
        tests.append(parse_filter({"type": "AssetFilter", "config": document["asset_types"]}, place="asset_types"))
    return [scene for scene in scenes if all(test(scene, scene.properties_at(now)) for test in tests)]


def interval_start(instant: datetime, interval: str) -> str:
    """The beginning of the bucket of a histogram an instant falls in. Raises Refusal."""
    formats = {"hour": "%Y-%m-%dT%H:00:00", "day": "%Y-%m-%dT00:00:00", "week": "%G-W%V-1"}
    formats |= {"month": "%Y-%m-01T00:00:00", "year": "%Y-01-01T00:00:00"}
    if interval not in formats:
        raise Refusal(400, {"field": {"interval": [{"message": f"must be one of {list(formats)}"}]}, "general": []})
    text = instant.strftime(formats[interval])
    return datetime.fromisoformat(text).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
