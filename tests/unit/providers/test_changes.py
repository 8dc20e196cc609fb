"""Earth Search's feed of changes: what is asked, what is taken of the answer, and when it is no feed at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from imagery.errors import FeedUnsupported, ProviderAnswerInvalid, ProviderUnavailable
from imagery.model.codec import format_instant
from imagery.providers.earth_search import EarthSearch

from .conftest import Api, a_page, an_item, next_link

SINCE = datetime(2026, 5, 1, 12, tzinfo=UTC)


def changed(item_id: str, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    """Updated so many minutes after SINCE."""
    updated = format_instant(SINCE + timedelta(minutes=minutes))
    return an_item(item_id, properties={"datetime": "2026-04-01T10:00:00Z", "updated": updated}, **changes)


def ids(provider: EarthSearch) -> list[str]:
    return [item.id for item in provider.changes("sentinel-2-l2a", since=SINCE)]


def a_next_page(*items: Any, page: int, **more: Any) -> httpx.Response:
    """A page that links on; `numberMatched` drifts as the provider is written to."""
    answer = a_page(*items, links=[next_link({"page": page})])
    return httpx.Response(200, json={**json.loads(answer.content), **more})


def test_a_feed_is_asked_for_what_changed_oldest_first_wherever_and_whenever(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page()]
    assert ids(provider) == []
    assert api.bodies == [
        {
            "collections": ["sentinel-2-l2a"],
            "query": {"updated": {"gte": "2026-05-01T12:00:00.000000Z"}},
            "sortby": [
                {"field": "properties.updated", "direction": "asc"},
                {"field": "id", "direction": "asc"},
            ],
            "limit": 100,
        }
    ]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_provider_that_cannot_query_or_sort_has_no_feed(api: Api, provider: EarthSearch, missing: int) -> None:
    del api.conforms_to[missing]
    with pytest.raises(FeedUnsupported):
        ids(provider)
    assert api.asked == []


def test_a_provider_that_refuses_the_query_after_all_has_no_feed(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(400, json={"description": "updated is not queryable"})]
    for _ in range(2):
        with pytest.raises(FeedUnsupported):
            ids(provider)
    assert len(api.asked) == 1


def test_pages_are_followed_whatever_the_counts_say_and_an_empty_last_one_ends_it(
    api: Api, provider: EarthSearch
) -> None:
    api.answers = [
        a_next_page(changed("A"), page=2, numberMatched=2, numberReturned=1),
        a_next_page(changed("B", 1), page=3, numberMatched=900),
        a_next_page(page=4, numberMatched=1),
        a_page(),
    ]
    assert ids(provider) == ["A", "B"]


def test_a_provider_that_links_on_from_the_end_for_ever_is_left(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_next_page(changed("A"), page=1), *(a_next_page(page=n) for n in range(2, 50))]
    assert ids(provider) == ["A"]
    assert len(api.asked) == 5


def test_a_state_of_an_item_comes_once_and_a_newer_one_too(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_next_page(changed("A"), changed("A"), page=2), a_page(changed("A"), changed("A", 5))]
    assert ids(provider) == ["A", "A"]


def test_items_out_of_order_are_passed_on(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page(changed("C", 9), changed("A", 1), changed("B", 5))]
    assert ids(provider) == ["C", "A", "B"]


def test_what_is_older_or_of_another_collection_is_dropped(api: Api, provider: EarthSearch) -> None:
    without = an_item("U", properties={"datetime": "2026-04-01T10:00:00Z"})
    strays = [changed("old", -600), changed("rounded", -0.5), changed("X", 1, collection="landsat"), without]
    api.answers = [a_page(changed("A"), *strays, changed("B", 1))]
    assert ids(provider) == ["A", "B"]


def test_a_whole_catalogue_for_an_answer_is_given_up_on_its_first_page(api: Api, provider: EarthSearch) -> None:
    everything = [changed(f"I{n}", -1000 - n) for n in range(100)]
    api.answers = [a_next_page(*everything, page=2)]
    with pytest.raises(ProviderAnswerInvalid, match="ignore the filter"):
        ids(provider)
    assert len(api.asked) == 1


def test_one_item_that_cannot_be_read_does_not_hold_up_the_others(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_page(changed("broken", 1, assets=None), changed("fine", 2))]
    assert ids(provider) == ["fine"]


def test_a_page_too_heavy_is_asked_for_again_smaller_and_nothing_comes_twice(api: Api, provider: EarthSearch) -> None:
    api.answers = [
        a_next_page(changed("A"), page=2),
        httpx.Response(502),
        a_page(changed("A"), changed("B", 1)),
    ]
    assert ids(provider) == ["A", "B"]
    assert api.bodies[-1]["limit"] == 50


def test_a_feed_that_breaks_off_says_so(api: Api, provider: EarthSearch) -> None:
    api.answers = [a_next_page(changed("A"), page=2), httpx.Response(500)]
    found = provider.changes("sentinel-2-l2a", since=SINCE)
    assert next(found).id == "A"
    with pytest.raises(ProviderUnavailable):
        next(found)
