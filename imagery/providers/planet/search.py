"""Planet's Data API as a provider: what was acquired over an area, and what of it the key may order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pystac

from imagery.errors import CollectionUnknown, FeedUnsupported, ItemUnknown, ProviderAnswerInvalid, QuotaExhausted
from imagery.model.search import Search
from imagery.providers.planet.aoi import simplified
from imagery.providers.planet.client import PlanetClient
from imagery.providers.planet.items import item_path, to_collection, to_item
from imagery.providers.planet.pace import Operation
from imagery.providers.stac_matching import Matcher

logger = logging.getLogger(__name__)

PAGE_SIZE = 250
MAX_PAGES = 1000
STAGES = ("standard", "finalized")
"""Stages of publishing that are taken: what comes first, and what takes its place hours later. Not `preview`."""

ALL_BROKEN = 5
"""So many items that are none, and none that is one, are not an accident: Planet answers in a way we do not read."""

_NO_NAMES = frozenset({"", ".", ".."})
"""As part of a URL these would lead elsewhere."""


class PlanetSearch:
    """A Provider whose collections are Planet's item types."""

    def __init__(self, client: PlanetClient, *, stages: tuple[str, ...] = STAGES) -> None:
        self._client = client
        self._stages = stages

    def search(self, search: Search) -> Iterator[pystac.Item]:
        """See the port. By `published` and `updated`: items come weeks after they were acquired, and change later.

        An item that is none is passed over, for it would end every search of its window; mended, it is `updated`. When
        there is nothing else, ProviderAnswerInvalid is raised.
        """
        matcher, seen, broken = Matcher(search), set[str](), list[ProviderAnswerInvalid]()
        sound = 0
        for feature in self._features(_body(search, self._stages)):
            try:
                item = to_item(feature, url=self._client.url)
                is_asked_for = self._is_asked_for(item, search, matcher)
            except ProviderAnswerInvalid as error:
                broken.append(error)
                logger.warning("item passed over: %s", error, extra={"provider": self._client.name})
                continue
            sound += 1
            if item.id not in seen and is_asked_for:
                seen.add(item.id)
                yield item
        if broken:
            logger.warning("items passed over", extra={"provider": self._client.name, "passed_over": len(broken)})
        if len(broken) >= ALL_BROKEN and not sound:
            raise broken[0]

    def changes(self, collection_id: str, *, since: datetime) -> Iterator[pystac.Item]:
        """Raises FeedUnsupported: searches of Planet need an area."""
        del since
        raise FeedUnsupported(f"{self._client.name} has no feed of {collection_id}; its subscriptions are searched")

    def get(self, collection_id: str, item_id: str) -> pystac.Item:
        """See the port."""
        is_name = not {collection_id, item_id} & _NO_NAMES
        feature = self._client.find(Operation.DATA, item_path(collection_id, item_id)) if is_name else None
        if feature is None:
            raise ItemUnknown(f"{self._client.name} has no item {item_id} of {collection_id}")
        if feature.get("id") != item_id:
            raise ProviderAnswerInvalid(f"{self._client.name} answered with another item than {item_id}")
        return to_item(feature, url=self._client.url)

    def get_collection(self, collection_id: str) -> pystac.Collection:
        """See the port."""
        if collection_id in _NO_NAMES:
            raise CollectionUnknown(f"{collection_id!r} names no item type of {self._client.name}")
        path = f"/data/v1/item-types/{quote(collection_id, safe='')}"
        item_type = self._client.find(Operation.DATA, path)
        if item_type is None:
            raise CollectionUnknown(f"{self._client.name} has no item type {collection_id}; PSScene is one it has")
        return to_collection(item_type, url=self._client.url)

    def clear_fraction(self, collection_id: str, item_id: str, geometry: Mapping[str, Any]) -> float | None:
        """Planet's estimate over an area (GeoJSON, EPSG:4326), 0 to 1; None where the plan does not allow asking."""
        path = f"{item_path(collection_id, item_id)}/coverage"
        body = {"geometry": simplified(geometry)[0]}
        try:
            answer = self._client.answer(Operation.DATA, path, method="POST", body=body, may_be_forbidden=True)
        except QuotaExhausted:
            return None
        if not answer.is_success:
            return None
        percent = answer.body.get("clear_percent")
        if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 <= percent <= 100:
            return None
        return percent / 100.0

    def _is_asked_for(self, item: pystac.Item, search: Search, matcher: Matcher) -> bool:
        """Asked again here: the search may ignore what it was asked, as others have been seen to."""
        stage = item.properties.get("pl:publishing_stage")
        return (
            bool(item.assets)
            and all(key in item.assets for key in search.assets)
            and (stage is None or stage in self._stages)
            and matcher.mismatch(item.to_dict(include_self_link=False)) is None
        )

    def _features(self, body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        path = f"/data/v1/quick-search?_sort=published%20asc&_page_size={PAGE_SIZE}"
        page = self._client.ask(Operation.DATA, path, method="POST", body=body)
        asked: set[str] = set()
        while True:
            features = page.get("features")
            if not isinstance(features, list):
                raise ProviderAnswerInvalid(f"{self._client.name} answered a search without features")
            yield from features
            links = page.get("_links")
            following = links.get("_next") if isinstance(links, Mapping) else None
            if not following:
                return
            if following in asked and not features:
                return
            if following in asked or len(asked) >= MAX_PAGES:
                raise ProviderAnswerInvalid(f"{self._client.name} pages in a circle, or without an end")
            asked.add(following)
            page = self._client.ask(Operation.DATA, str(following))


def _body(search: Search, stages: tuple[str, ...]) -> dict[str, Any]:
    """The quick-search, built by Planet's own SDK (which is imported when it is needed)."""
    from planet import data_filter as by

    filters = [
        by.geometry_filter(simplified(search.aoi.geometry)[0]),
        by.date_range_filter("acquired", gte=search.acquired_from, lte=search.acquired_to),
        by.permission_filter(),
        by.string_in_filter("publishing_stage", list(stages)),
    ]
    if search.assets:
        filters.append(by.and_filter([by.asset_filter([key]) for key in search.assets]))
    if search.updated_since is not None:
        since = [by.date_range_filter(name, gte=search.updated_since) for name in ("published", "updated")]
        filters.append(by.or_filter(since))
    return {"item_types": [search.collection], "filter": by.and_filter(filters)}
