"""What is tried again, what is not, and what the errors say."""

from __future__ import annotations

import httpx
import pytest

from imagery.errors import (
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
)
from imagery.providers import exchange
from imagery.providers.earth_search import EarthSearch

from .conftest import ROOT, Api, a_page, a_search, an_item, next_link

BAD_GATEWAY = httpx.Response(502, json={"message": "Internal server error"})
DATE = "Mon, 23 Nov 2026 22:00:00 GMT"


def get(provider: EarthSearch) -> str:
    return provider.get("sentinel-2-l2a", "A").id


@pytest.mark.parametrize(
    "hiccup",
    [
        httpx.Response(500),
        httpx.Response(502, text="<html>bad gateway</html>"),
        httpx.Response(503),
        httpx.Response(504),
        httpx.Response(408),
        httpx.Response(429),
        httpx.Response(200, text="<html>maintenance</html>"),
        httpx.Response(200, text='{"type": "Feat'),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
    ],
    ids=str,
)
def test_a_hiccup_is_tried_again(api: Api, provider: EarthSearch, hiccup: httpx.Response | Exception) -> None:
    api.answers = [hiccup, httpx.Response(200, json=an_item("A"))]
    assert get(provider) == "A"
    assert api.slept == [1.0]


@pytest.mark.parametrize(
    ("trouble", "error", "times"),
    [
        (httpx.Response(503, json={"message": "try later"}), ProviderUnavailable, 4),
        (httpx.ConnectError("refused"), ProviderUnavailable, 4),
        (httpx.ReadTimeout("slow"), ProviderUnavailable, 4),
        (httpx.Response(429), ProviderThrottled, 4),
        (httpx.Response(200, text="<html>"), ProviderAnswerInvalid, 2),
        (httpx.Response(200, text="[]"), ProviderAnswerInvalid, 2),
        (httpx.Response(400, json={"code": "BadRequest"}), ProviderRefused, 1),
        (httpx.Response(401), ProviderRefused, 1),
        (httpx.Response(403, text="<html>forbidden</html>"), ProviderRefused, 1),
        (httpx.Response(501), ProviderRefused, 1),
        (httpx.Response(301, headers={"location": "https://new.test/v1"}), ProviderRefused, 1),
    ],
    ids=str,
)
def test_trouble_that_stays_has_a_name(
    api: Api, provider: EarthSearch, trouble: httpx.Response | Exception, error: type[ProviderError], times: int
) -> None:
    api.answers = [trouble]
    with pytest.raises(ProviderError) as raised:
        get(provider)
    assert type(raised.value) is error
    assert len(api.asked) == times
    assert len(api.slept) == times - 1


def test_a_refusal_quotes_the_provider_shortly_and_says_what_to_do(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(403, json={"code": "Denied", "description": "no\n\x1b[31m" + "x" * 5000})]
    with pytest.raises(ProviderRefused, match=r"403.*Denied no") as raised:
        get(provider)
    assert len(str(raised.value)) < 500
    assert "\x1b" not in str(raised.value)
    assert "credentials" in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "Mon, 23 Nov 2026 22:00:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 21:00:00 GMT", "date": DATE}, 0.0),
        ({"retry-after": "soon"}, 1.0),
        ({"retry-after": "-3"}, 1.0),
        ({}, 1.0),
    ],
)
def test_retry_after_is_obeyed(api: Api, provider: EarthSearch, headers: dict[str, str], waits: float) -> None:
    api.answers = [httpx.Response(429, headers=headers), httpx.Response(200, json=an_item("A"))]
    get(provider)
    assert api.slept == [waits]


def test_a_long_retry_after_is_the_callers_to_wait(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(429, headers={"retry-after": "3600"})]
    with pytest.raises(ProviderThrottled) as raised:
        get(provider)
    assert raised.value.retry_after_s == 3600.0
    assert api.slept == []


def test_waits_double_and_are_spread(api: Api) -> None:
    api.answers = [httpx.Response(503)]
    with httpx.Client(transport=httpx.MockTransport(api.handle)) as client:
        provider = EarthSearch(
            "earth-search",
            ROOT,
            client=client,
            attempts=8,
            sleep=api.slept.append,
            jitter=lambda: 0.0,
        )
        with pytest.raises(ProviderUnavailable):
            get(provider)
    assert api.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


@pytest.mark.parametrize("trouble", [BAD_GATEWAY, httpx.ReadTimeout("slow")], ids=str)
def test_a_page_too_heavy_is_asked_for_in_halves(
    api: Api, provider: EarthSearch, trouble: httpx.Response | Exception
) -> None:
    api.answers = [trouble, trouble, a_page(an_item("A"))]
    assert [item.id for item in provider.search(a_search())] == ["A"]
    assert [body["limit"] for body in api.bodies] == [100, 50, 25]


def test_a_later_page_too_heavy_starts_the_search_anew_with_each_item_still_once(
    api: Api, provider: EarthSearch
) -> None:
    link = next_link({"next": "2"})
    first, second = an_item("A"), an_item("B")
    api.answers = [a_page(first, links=[link]), BAD_GATEWAY, a_page(first, links=[link]), a_page(second)]
    assert [item.id for item in provider.search(a_search())] == ["A", "B"]
    assert [body.get("limit") for body in api.bodies] == [100, None, 50, None]


def test_a_provider_that_fails_at_any_page_size_is_unavailable(api: Api, provider: EarthSearch) -> None:
    api.answers = [BAD_GATEWAY]
    with pytest.raises(ProviderUnavailable) as raised:
        list(provider.search(a_search()))
    assert type(raised.value) is ProviderUnavailable
    assert [body["limit"] for body in api.bodies] == [100, 50, 25, 12, 6]


def test_an_answer_without_end_is_not_read_to_it(api: Api, provider: EarthSearch) -> None:
    api.answers = [httpx.Response(200, content=b" " * (exchange.MAX_ANSWER_BYTES + 1))]
    with pytest.raises(ProviderRefused, match="more than"):
        get(provider)
