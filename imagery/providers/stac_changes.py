"""A feed of changes, judged as it comes in: what belongs to it, and whether it is one at all. Pure: no socket."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from imagery.errors import ProviderAnswerInvalid
from imagery.model.codec import format_instant

logger = logging.getLogger(__name__)

MAX_STRAYS = 10
"""Items nobody asked for, and more of them than of the others, before we say that the filter is ignored."""

ROUNDING = timedelta(minutes=1)
"""A provider may compare instants it has rounded; what is older by less is dropped without further ado."""

MAX_EMPTY_PAGES = 3
"""Pages without items, one after another, whose next links are followed."""


class Sieve:
    """Lets through the items of one collection that changed since an instant, whatever else the answer holds."""

    def __init__(self, provider: str, collection_id: str, since: datetime) -> None:
        self._provider = provider
        self._collection_id = collection_id
        self._since = since
        self._passed = 0
        self._strays = 0
        self._empty_pages = 0

    def passes(self, document: Mapping[str, Any]) -> bool:
        """Whether this item belongs to the feed. Raises ProviderAnswerInvalid once most of them do not."""
        updated = _updated(document)
        if document.get("collection") != self._collection_id or updated is None or updated < self._since - ROUNDING:
            self._stray()
            return False
        self._passed += 1
        return updated >= self._since

    def is_over(self, items_of_page: int) -> bool:
        """Whether to read no further though there is a next link: some providers link on from the end for ever.

        Nothing is lost by it: the next read begins at the last item, and follows the links again.
        """
        self._empty_pages = 0 if items_of_page else self._empty_pages + 1
        if self._empty_pages > MAX_EMPTY_PAGES:
            logger.warning("feed links on to empty pages", extra={"provider": self._provider})
            return True
        return False

    def _stray(self) -> None:
        self._strays += 1
        if self._strays >= MAX_STRAYS and self._strays > self._passed:
            raise ProviderAnswerInvalid(
                f"{self._provider} seems to ignore the filter: asked for what changed in {self._collection_id} since "
                f"{format_instant(self._since)}, it gave {self._strays} items that did not and {self._passed} that "
                "did; the rest was not read"
            )


def feed_body(collection_id: str, since: datetime, limit: int) -> dict[str, Any]:
    """The question as POST /search wants it; the id settles the order of what changed in the same instant."""
    return {
        "collections": [collection_id],
        "query": {"updated": {"gte": format_instant(since)}},
        "sortby": [
            {"field": "properties.updated", "direction": "asc"},
            {"field": "id", "direction": "asc"},
        ],
        "limit": limit,
    }


def change_of(document: Mapping[str, Any]) -> str:
    """Names one state of one item."""
    return f"{document['id']}@{document['properties']['updated']}"


def _updated(document: Mapping[str, Any]) -> datetime | None:
    properties = document.get("properties")
    text = properties.get("updated") if isinstance(properties, Mapping) else None
    try:
        instant = datetime.fromisoformat(text.strip().upper()) if isinstance(text, str) else None
    except ValueError:
        return None
    if instant is None:
        return None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
