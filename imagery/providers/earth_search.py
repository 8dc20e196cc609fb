"""Earth Search, or any STAC API whose assets are readable COGs, as a provider.

The transport is httpx rather than pystac-client: bounded bodies, our own retries and next links sent as given are not
in its reach, and it would hand back items before we have judged them.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pystac
import shapely
from shapely.geometry import box, mapping, shape

from imagery.errors import (
    CollectionUnknown,
    FeedUnsupported,
    ItemUnknown,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderUnavailable,
    SettingsInvalid,
)
from imagery.model.aoi import Aoi
from imagery.model.codec import format_instant
from imagery.model.search import Search
from imagery.providers.exchange import Answer, Ask, Exchange, PageTooHeavy
from imagery.providers.stac_changes import Sieve, change_of, feed_body
from imagery.providers.stac_items import parse_collection, parse_item
from imagery.providers.stac_matching import Matcher
from imagery.providers.stac_paging import next_ask

logger = logging.getLogger(__name__)

PAGE_LIMITS = (100, 50, 25, 12, 6)
"""Items a page: halved each time a page turns out too heavy for the provider."""

MAX_PAGES = 1000
MAX_STRAYS = 1000
"""So many items nobody asked for, and ten for each one that was, before we say that the filter is ignored."""

MAX_VERTICES = 500
"""An AOI with more is searched by its box and judged by its outline: request bodies have limits."""


class _QueryRefused(ProviderRefused):
    """400 to a search that filters by a property. Never leaves this module."""


class EarthSearch:
    """A STAC API, asked over HTTP. Close it when done, unless the client was given."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        client: httpx.Client | None = None,
        timeout_s: float = 30.0,
        attempts: int = 4,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`url` is the API's root; `attempts` counts the first; `jitter` gives 0 to 1."""
        self.name = name
        self._root = _checked(name, url)
        self._client = client or httpx.Client(headers={"User-Agent": "imagery", "Accept": "application/json"})
        self._owns_client = client is None
        self._sleep = sleep
        self._exchange = Exchange(
            name, self._client, attempts=attempts, timeout_s=timeout_s, sleep=sleep, jitter=jitter
        )
        self._lock = threading.Lock()
        self._can_query: bool | None = None
        """Whether it filters and sorts by `updated`; None: not asked yet."""

    def search(self, search: Search) -> Iterator[pystac.Item]:
        """Every matching item once, hrefs absolute, in no promised order.

        Of an item that comes twice the first is given: one published anew meanwhile is found by the next search since
        then. An answer with an unreadable item, a loop or mostly strays raises ProviderAnswerInvalid.
        """
        documents = self._each_once(lambda limit: self._walk(search, limit), name=lambda document: document["id"])
        for document in documents:
            yield parse_item(document, url=self._item_url(search.collection, document["id"]))

    def changes(self, collection_id: str, *, since: datetime) -> Iterator[pystac.Item]:
        """See the port. The order is the provider's word: a caller must bear with items out of it.

        An item that cannot be read is left out and said so in the log: one must not keep all later ones from everybody.
        Raises ProviderAnswerInvalid when the answer is no feed: mostly items nobody asked for.
        """
        if not self._queries():
            raise FeedUnsupported(f"{self.name} cannot filter and sort by `updated`; its subscriptions are searched")
        for document in self._each_once(lambda limit: self._walk_feed(collection_id, since, limit), name=change_of):
            try:
                item = parse_item(document, url=self._item_url(collection_id, document["id"]))
            except ProviderAnswerInvalid as error:
                logger.warning("item of the feed passed over: %s", error, extra={"provider": self.name})
                continue
            yield item

    def get(self, collection_id: str, item_id: str) -> pystac.Item:
        """The item as it is now. Raises ItemUnknown."""
        url = self._item_url(collection_id, item_id)
        answer = self._exchange.ask(Ask(url=url))
        if answer.status in (404, 410):
            raise ItemUnknown(f"{self.name} has no item {item_id} in {collection_id}")
        document = self._taken(answer)
        if document.get("id") != item_id or document.get("collection", collection_id) != collection_id:
            raise ProviderAnswerInvalid(f"{self.name} answered {url} with another item")
        return parse_item(document, url=url)

    def get_collection(self, collection_id: str) -> pystac.Collection:
        """Raises CollectionUnknown."""
        url = self._collection_url(collection_id)
        answer = self._exchange.ask(Ask(url=url))
        if answer.status in (404, 410):
            raise CollectionUnknown(f"{self.name} has no collection {collection_id}; see {self._root}/collections")
        document = self._taken(answer)
        if document.get("id") != collection_id:
            raise ProviderAnswerInvalid(f"{self.name} answered {url} with another collection")
        return parse_collection(document, url=url)

    def close(self) -> None:
        """Close the connections, if they are our own."""
        if self._owns_client:
            self._client.close()

    def __enter__(self) -> EarthSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _each_once(
        self, walk: Callable[[int], Iterator[Mapping[str, Any]]], *, name: Callable[[Mapping[str, Any]], str]
    ) -> Iterator[Mapping[str, Any]]:
        """What `walk` gives with so many items a page, or fewer where the provider cannot bear it."""
        seen: set[str] = set()
        heavy: PageTooHeavy | None = None
        for tried, limit in enumerate(PAGE_LIMITS):
            if heavy is not None:
                logger.info("page too heavy", extra={"provider": self.name, "limit": limit})
                self._sleep(self._exchange.backoff(tried))
            try:
                # From the first page again, whatever the token means there: `seen` keeps each item to once.
                for document in walk(limit):
                    if name(document) not in seen:
                        seen.add(name(document))
                        yield document
            except PageTooHeavy as error:
                heavy = error
            else:
                return
        raise ProviderUnavailable(f"{heavy} (even with {PAGE_LIMITS[-1]} items a page)") from heavy

    def _walk_feed(self, collection_id: str, since: datetime, limit: int) -> Iterator[Mapping[str, Any]]:
        """What changed, page after page."""
        sieve = Sieve(self.name, collection_id, since)
        ask = self._search_ask(feed_body(collection_id, since, limit))
        try:
            for answer in self._pages(ask, queried=True):
                features = self._features(answer)
                yield from filter(sieve.passes, features)
                if sieve.is_over(len(features)):
                    return
        except _QueryRefused as error:
            self._can_query = False
            raise FeedUnsupported(f"{self.name} refuses to filter and sort by `updated`: {error}") from error

    def _walk(self, search: Search, limit: int) -> Iterator[Mapping[str, Any]]:
        """Matching items, page after page."""
        matcher, strays, matches = Matcher(search), 0, 0
        for answer in self._search_pages(search, limit):
            for document in self._features(answer):
                mismatch = matcher.mismatch(document)
                if mismatch is None:
                    matches += 1
                    yield document
                # Older items are no sign of a filter ignored: not every API filters by `updated`.
                elif mismatch != "updated":
                    strays += 1
            if strays > MAX_STRAYS + 10 * matches:
                raise ProviderAnswerInvalid(
                    f"{self.name} seems to ignore the search: {strays} items came that nobody asked for, and "
                    f"{matches} that matched; the search was given up"
                )
        if strays:
            logger.warning(
                "items dropped that were not asked for",
                extra={"provider": self.name, "collection": search.collection, "strays": strays, "matches": matches},
            )

    def _search_pages(self, search: Search, limit: int) -> Iterator[Answer]:
        """Every page of a search, filtered by `updated` where the provider can."""
        if search.updated_since is not None and self._queries():
            try:
                yield from self._pages(self._search_ask(_body(search, limit, queried=True)), queried=True)
            except _QueryRefused:
                logger.warning("provider refuses to filter by `updated`", extra={"provider": self.name})
                self._can_query = False
            else:
                return
        yield from self._pages(self._search_ask(_body(search, limit, queried=False)), queried=False)

    def _pages(self, first: Ask, *, queried: bool) -> Iterator[Answer]:
        """Every page, to the last. Raises _QueryRefused if it was `queried` and the first ask is refused with 400."""
        ask: Ask | None = first
        asked: set[str] = set()
        while ask is not None:
            if ask.fingerprint in asked:
                raise ProviderAnswerInvalid(f"{self.name} pages in a circle: a next link leads to a page already read")
            if len(asked) >= MAX_PAGES:
                raise ProviderAnswerInvalid(
                    f"{self.name} gave more than {MAX_PAGES} pages for one search; ask for a shorter window"
                )
            asked.add(ask.fingerprint)
            answer = self._exchange.ask(ask)
            if answer.status == 400 and queried and len(asked) == 1:
                raise _QueryRefused(str(self._exchange.refusal(answer)))
            self._taken(answer)
            yield answer
            ask = next_ask(answer)

    def _search_ask(self, body: dict[str, Any]) -> Ask:
        return Ask(url=f"{self._root}/search", method="POST", body=body, pageable=True)

    def _features(self, answer: Answer) -> list[Mapping[str, Any]]:
        features = answer.body.get("features")
        if not isinstance(features, list):
            raise ProviderAnswerInvalid(f"{answer.ask.shown} answered without features; is it a STAC API?")
        for one in features:
            usable = isinstance(one, Mapping) and one.get("type") == "Feature" and isinstance(one.get("id"), str)
            if not usable or not one["id"]:
                raise ProviderAnswerInvalid(f"{answer.ask.shown} gave something that is no item: {str(one)[:100]}")
        return features

    def _queries(self) -> bool:
        """Whether the API says that it filters and sorts by a property. Asked once; a failure is asked again."""
        with self._lock:
            if self._can_query is None:
                answer = self._exchange.ask(Ask(url=self._root))
                classes = self._taken(answer).get("conformsTo") or []
                names = {str(one).rsplit("/", 1)[-1] for one in classes} if isinstance(classes, list) else set()
                self._can_query = {"item-search#query", "item-search#sort"} <= names
            return self._can_query

    def _taken(self, answer: Answer) -> Mapping[str, Any]:
        if not answer.is_success:
            raise self._exchange.refusal(answer)
        return answer.body

    def _collection_url(self, collection_id: str) -> str:
        if collection_id in ("", ".", ".."):
            raise CollectionUnknown(f"{collection_id!r} names no collection of {self.name}")
        return f"{self._root}/collections/{quote(collection_id, safe='')}"

    def _item_url(self, collection_id: str, item_id: str) -> str:
        if item_id in ("", ".", ".."):
            raise ItemUnknown(f"{item_id!r} names no item of {self.name}")
        return f"{self._collection_url(collection_id)}/items/{quote(item_id, safe='')}"


def _checked(name: str, url: str) -> str:
    """The root without a slash at its end. Raises SettingsInvalid."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        # The URL is left out on purpose: it may hold a secret.
        raise SettingsInvalid(
            f"the URL of provider {name} must be the root of a STAC API, such as https://host/v1: http or https, "
            "no user name, no query",
            field="IMAGERY_STAC_PROVIDERS",
        )
    return url.rstrip("/")


def _body(search: Search, limit: int, *, queried: bool) -> dict[str, Any]:
    """The search as POST /search wants it."""
    body: dict[str, Any] = {
        "collections": [search.collection],
        "intersects": _outline(search.aoi),
        "datetime": f"{format_instant(search.acquired_from)}/{format_instant(search.acquired_to)}",
        "limit": limit,
    }
    if queried and search.updated_since is not None:
        body["query"] = {"updated": {"gte": format_instant(search.updated_since)}}
        # Oldest first: what is published while we page comes at the end instead of shifting the pages.
        body["sortby"] = [{"field": "properties.updated", "direction": "asc"}]
    return body


def _outline(aoi: Aoi) -> dict[str, Any]:
    """The AOI, or its boxes (one on either side of the antimeridian) when it has too many vertices."""
    geometry = shape(aoi.geometry)
    if shapely.get_num_coordinates(geometry) <= MAX_VERTICES:
        return dict(aoi.geometry)
    west, south, east, north = aoi.bbox
    if west <= east:
        boxes = box(west, south, east, north)
    else:
        boxes = shapely.union_all([box(west, south, 180.0, north), box(-180.0, south, east, north)])
    outline: dict[str, Any] = mapping(boxes)
    return outline
