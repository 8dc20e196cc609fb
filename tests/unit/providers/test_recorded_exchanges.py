"""Earth Search as it was recorded: every page asked for as its own client did, every item understood."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from imagery.errors import CollectionUnknown, ProviderAnswerInvalid
from imagery.model.search import Search
from imagery.providers.earth_search import EarthSearch

from .conftest import Api, Recording, a_search, an_aoi

Recorded = Callable[[str], Recording]

JULY = a_search(
    aoi=an_aoi(9.0, 47.0, 10.0, 48.0),
    acquired_from=datetime(2020, 7, 1, tzinfo=UTC),
    acquired_to=datetime(2020, 7, 5, 23, 59, 59, tzinfo=UTC),
)
BOULDER = a_search(
    aoi=an_aoi(-105.1020, 40.1671, -105.1018, 40.1673),
    acquired_from=datetime(2023, 10, 8, tzinfo=UTC),
    acquired_to=datetime(2023, 10, 8, 23, 59, 59, tzinfo=UTC),
)


def test_three_pages_are_read_to_the_empty_one(api: Api, provider: EarthSearch, recorded: Recorded) -> None:
    pages = [recorded(name) for name in ("10_search_page1", "11_search_page2", "12_search_page3_empty")]
    api.answers = [page.response for page in pages]
    items = list(provider.search(JULY))
    assert len({item.id for item in items}) == len(items) == 16
    assert api.bodies[1:] == [page.request["body"] for page in pages[1:]]


def test_both_processings_of_an_acquisition_are_items(api: Api, provider: EarthSearch, recorded: Recorded) -> None:
    api.answers = [recorded("10_search_page1").response, recorded("12_search_page3_empty").response]
    found = {item.id for item in provider.search(JULY)}
    assert {"S2B_32TMT_20200705_0_L2A", "S2B_32TMT_20200705_1_L2A"} <= found


@pytest.mark.parametrize("collection", ["sentinel-2-l2a", "landsat-c2-l2"])
def test_a_collection_nobody_asked_for_is_dropped(
    api: Api, provider: EarthSearch, recorded: Recorded, collection: str
) -> None:
    names = ("20_search_multi_collection_page1", "21_search_multi_collection_page2_empty")
    api.answers = [recorded(name).response for name in names]
    search = Search(
        collection=collection,
        aoi=BOULDER.aoi,
        acquired_from=BOULDER.acquired_from,
        acquired_to=BOULDER.acquired_to,
    )
    assert [item.collection_id for item in provider.search(search)] == [collection]


def test_no_results_is_one_page(api: Api, provider: EarthSearch, recorded: Recorded) -> None:
    api.answers = [recorded("14_search_zero_results").response]
    assert list(provider.search(JULY)) == []
    assert len(api.asked) == 1


def test_the_whole_catalogue_is_refused(api: Api, provider: EarthSearch, recorded: Recorded) -> None:
    """A filter the API does not have is ignored, and every page leads to another."""
    page = recorded("31_search_cql2_page2").response.json()
    link = page["links"][0]
    api.answers = [
        httpx.Response(200, json={**page, "links": [{**link, "body": {"next": str(number)}}]}) for number in range(300)
    ]
    with pytest.raises(ProviderAnswerInvalid, match="ignore"):
        list(provider.search(JULY))
    assert len(api.asked) < 150


@pytest.mark.parametrize("name", ["50_items_get_page1", "70_items_sentinel-2-c1-l2a_page1"])
def test_get_paging_follows_the_link_with_its_query(
    api: Api, provider: EarthSearch, recorded: Recorded, name: str
) -> None:
    page = recorded(name).response
    link = next(link for link in page.json()["links"] if link["rel"] == "next")
    api.answers = [page, recorded("12_search_page3_empty").response]
    list(provider.search(JULY))
    assert (api.asked[1].method, str(api.asked[1].url)) == ("GET", link["href"])


def test_items_stripped_by_fields_are_not_passed_off_as_an_answer(
    api: Api, provider: EarthSearch, recorded: Recorded
) -> None:
    api.answers = [recorded("40_search_fields_exclude").response]
    search = a_search(
        collection="sentinel-2-c1-l2a",
        aoi=BOULDER.aoi,
        acquired_from=datetime(2024, 7, 1, tzinfo=UTC),
        acquired_to=datetime(2024, 8, 31, tzinfo=UTC),
    )
    with pytest.raises(ProviderAnswerInvalid, match="S2B_T13TDE_20240808T175817_L2A"):
        list(provider.search(search))


@pytest.mark.parametrize("sequence", [0, 1])
def test_a_recorded_item_is_understood_whole(
    api: Api, provider: EarthSearch, recorded: Recorded, sequence: int
) -> None:
    item_id = f"S2A_32TMT_20200302_{sequence}_L2A"
    recording = recorded(f"60_item_{item_id}")
    api.answers = [recording.response]
    item = provider.get("sentinel-2-l2a", item_id)
    sent = recording.response.json()
    assert item.properties == {**sent["properties"], "datetime": item.properties["datetime"]}
    assert set(item.assets) == set(sent["assets"])


def test_recorded_collections_are_understood(api: Api, provider: EarthSearch, recorded: Recorded) -> None:
    api.answers = [recorded("04_collection_sentinel-2-l2a").response]
    collection = provider.get_collection("sentinel-2-l2a")
    assert collection.title == "Sentinel-2 Level-2A"
    assert "item_assets" in collection.extra_fields
    api.answers = [recorded("05_collection_404").response]
    with pytest.raises(CollectionUnknown):
        provider.get_collection("foo")


def test_the_recorded_landing_page_says_that_it_queries(api: Api, provider: EarthSearch, recorded: Recorded) -> None:
    api.conforms_to = recorded("01_landing_v1").response.json()["conformsTo"]
    api.answers = [recorded("14_search_zero_results").response]
    list(provider.search(a_search(updated_since=datetime(2023, 8, 1, tzinfo=UTC))))
    assert "query" in api.bodies[0]
