"""How Planet is asked: at its pace, its errors told apart, its key kept."""

from __future__ import annotations

import logging
import traceback

import httpx
import pytest

from imagery.errors import (
    CredentialsRefused,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
    QuotaExhausted,
    SettingsInvalid,
)
from imagery.providers.planet.account import USED_UP_FOR_S
from imagery.providers.planet.client import PLANET_URL, REFUSED_FOR_S, PlanetClient
from imagery.providers.planet.pace import Operation

from .conftest import KEY, Api, Time

FINE = httpx.Response(200, json={"is": "fine"})
QUOTA = {"field": {}, "general": [{"message": "Download quota has been exceeded."}]}


def get(client: PlanetClient) -> object:
    return client.ask(Operation.GET, "/compute/ops/orders/v2/x")


def post(client: PlanetClient) -> object:
    return client.ask(Operation.CREATE, "/compute/ops/orders/v2", method="POST", body={}, repeatable=False)


@pytest.mark.parametrize(
    ("operation", "rate"),
    [
        (Operation.CREATE, 3),
        (Operation.GET, 3),
        (Operation.LIST, 3),
        (Operation.DOWNLOAD, 5),
        (Operation.DATA, 10),
    ],
)
def test_no_second_holds_more_requests_than_planet_takes(
    api: Api, client: PlanetClient, operation: Operation, rate: int
) -> None:
    api.says(FINE)
    for _ in range(4 * rate):
        client.ask(operation, "/x")
    assert all(later - first > 1.0 for first, later in zip(api.asked_at, api.asked_at[rate:], strict=False))


def test_operations_do_not_wait_for_each_other(api: Api, client: PlanetClient, time: Time) -> None:
    api.says(FINE)
    for operation in Operation:
        client.ask(operation, "/x")
    assert time.slept == []


def test_what_is_tried_again_waits_for_its_turn_too(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(429, headers={"retry-after": "0"}), FINE)
    get(client)
    assert api.asked_at[1] - api.asked_at[0] >= 0.333


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_everything_for_five_minutes_and_shows(
    api: Api, client: PlanetClient, time: Time, status: int
) -> None:
    api.says(httpx.Response(status, json={"message": "Please enter your API key.", "errors": []}), FINE)
    with pytest.raises(CredentialsRefused, match=r"Please enter your API key.*IMAGERY_PLANET_API_KEY"):
        get(client)
    with pytest.raises(CredentialsRefused):
        client.ask(Operation.DATA, "/data/v1/x")
    time.now += REFUSED_FOR_S / 2
    assert len(api.asked) == 1
    assert (client.standing.is_refused, client.standing.for_s) == (True, REFUSED_FOR_S / 2)
    assert "Please enter your API key" in client.standing.why
    time.now += REFUSED_FOR_S / 2
    get(client)
    assert not client.standing.is_refused


def test_a_plan_without_an_extra_stops_nothing(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(403, json={"message": "not in your plan"}))
    assert client.answer(Operation.DATA, "/x", may_be_forbidden=True).status == 403
    assert not client.standing.is_refused


def test_haste_is_waited_out_as_planet_says(api: Api, client: PlanetClient, time: Time) -> None:
    api.says(httpx.Response(429, headers={"retry-after": "7"}, json={"message": "slow down"}), FINE)
    get(client)
    assert time.slept == [7.0]


def test_haste_that_lasts_is_told_with_the_time_to_wait(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(429, headers={"retry-after": "600"}))
    with pytest.raises(ProviderThrottled) as raised:
        get(client)
    assert raised.value.retry_after_s == 600.0
    assert len(api.asked) == 1


def test_a_quota_used_up_is_final(api: Api, client: PlanetClient, time: Time) -> None:
    api.says(httpx.Response(429, json=QUOTA))
    with pytest.raises(QuotaExhausted, match="Download quota has been exceeded"):
        get(client)
    assert (len(api.asked), time.slept) == (1, [])


def test_a_quota_used_up_shows_until_something_of_its_kind_succeeds_or_an_hour_is_over(
    api: Api, client: PlanetClient, time: Time
) -> None:
    api.says(httpx.Response(429, json=QUOTA))
    with pytest.raises(QuotaExhausted):
        post(client)
    api.says(FINE)
    get(client)
    assert client.standing.is_used_up
    assert "Download quota" not in client.standing.advice
    post(client)
    assert not client.standing.is_used_up
    api.says(httpx.Response(429, json=QUOTA))
    with pytest.raises(QuotaExhausted):
        post(client)
    time.now += USED_UP_FOR_S
    assert not client.standing.is_used_up


def test_haste_is_haste_when_planet_says_how_long_to_wait_whatever_its_words(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(429, headers={"retry-after": "3"}, json={"message": "Rate quota exceeded"}), FINE)
    assert get(client) == {"is": "fine"}
    assert not client.standing.is_used_up


def test_what_planet_says_to_one_is_kept_by_all_who_ask_with_the_key(
    api: Api, client: PlanetClient, time: Time
) -> None:
    with httpx.Client(transport=httpx.MockTransport(api.handle)) as http:
        once = PlanetClient(
            KEY, client=http, account=client.account, attempts=1, sleep=time.sleep, jitter=lambda: 1.0, monotonic=time
        )
        api.says(httpx.Response(429, headers={"retry-after": "120"}))
        for asking in (once, client, once):
            with pytest.raises(ProviderThrottled) as raised:
                get(asking)
            assert raised.value.retry_after_s == 120.0
        assert len(api.asked) == 1
        api.says(FINE)
        once.ask(Operation.DATA, "/x")
        time.now += 90.0
        assert get(client) == {"is": "fine"}
        assert time.slept == [30.0]


def test_one_thing_forbidden_is_refused_and_stops_nothing(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(403, json={"message": "no access to this item"}), FINE)
    with pytest.raises(ProviderRefused, match="no access to this item") as raised:
        client.find(Operation.DATA, "/data/v1/item-types/PSScene/items/x")
    assert not isinstance(raised.value, CredentialsRefused)
    assert not client.standing.is_refused
    assert client.find(Operation.DATA, "/data/v1/item-types/PSScene/items/y") == {"is": "fine"}


def test_one_thing_forbidden_says_nothing_good_of_a_refused_key(api: Api, client: PlanetClient, time: Time) -> None:
    api.says(httpx.Response(401), httpx.Response(403))
    with pytest.raises(CredentialsRefused):
        get(client)
    time.now += REFUSED_FOR_S
    with pytest.raises(ProviderRefused):
        client.find(Operation.GET, "/x")
    assert client.standing.is_refused


def test_field_messages_reach_a_person(api: Api, client: PlanetClient) -> None:
    body = {
        "field": {"Products": [{"message": "Bad item type 'invalid' for bundle type 'analytic'"}]},
        "general": [{"message": "Unable to accept order"}],
    }
    api.says(httpx.Response(400, json=body))
    with pytest.raises(ProviderRefused, match=r"Unable to accept order; Products: Bad item type 'invalid' for"):
        post(client)


def test_too_many_orders_at_once_pass(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(409, json={"message": "Order concurrency limit reached"}))
    with pytest.raises(ProviderThrottled, match="takes no more orders"):
        post(client)


def test_products_that_could_not_be_confirmed_pass(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(400, json={"general": [{"message": "Problem confirming products"}], "field": None}))
    with pytest.raises(ProviderUnavailable):
        post(client)


def test_what_is_not_there_is_none_or_refused(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(404, json={"message": "No such order ID: x."}))
    assert client.find(Operation.GET, "/x") is None
    with pytest.raises(ProviderRefused, match="No such order ID"):
        get(client)


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.Response(500),
        httpx.Response(502, text=""),
        httpx.Response(503, content=b"\xff\x00\x9f"),
        httpx.Response(504, text="<html>"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
    ],
    ids=str,
)
def test_hiccups_are_tried_again_but_never_with_an_order(
    api: Api, client: PlanetClient, trouble: httpx.Response | Exception
) -> None:
    api.says(trouble, FINE)
    assert get(client) == {"is": "fine"}
    api.asked.clear()
    api.says(trouble, FINE)
    with pytest.raises(ProviderUnavailable):
        post(client)
    assert len(api.asked) == 1


@pytest.mark.parametrize("trouble", [httpx.Response(429), httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")])
def test_an_order_that_surely_was_not_taken_is_sent_again(
    api: Api, client: PlanetClient, trouble: httpx.Response | Exception
) -> None:
    api.says(trouble, FINE)
    assert post(client) == {"is": "fine"}


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.test/next",
        "http://api.planet.com/next",
        "https://api.planet.com@evil.test/next",
        "https://api.planet.com:8443/next",
        "//evil.test/next",
        "https://[broken",
        "ftp://api.planet.com/",
        "next",
    ],
)
def test_the_key_follows_no_link_to_another_host(api: Api, client: PlanetClient, link: str) -> None:
    api.says(FINE)
    if link.startswith("//"):
        client.ask(Operation.GET, link)
        assert api.asked[0].url.host == "api.planet.com"
        return
    with pytest.raises(ProviderAnswerInvalid, match="not followed"):
        client.ask(Operation.GET, link)
    assert api.asked == []


def test_a_redirect_is_not_followed(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(302, headers={"location": "https://evil.test/"}))
    with pytest.raises(ProviderRefused):
        get(client)
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        FINE,
        httpx.Response(401, json={"message": "no"}),
        httpx.Response(400, json={"message": "no"}),
        httpx.Response(429, json=QUOTA),
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
    ids=str,
)
def test_the_key_is_in_no_repr_error_or_log(
    api: Api, client: PlanetClient, answer: httpx.Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.says(answer)
    told = repr(client) + repr(client.standing)
    try:
        get(client)
    except ProviderError as error:
        told += "".join(traceback.format_exception(error))
    assert api.asked[0].headers["authorization"].startswith("Basic ")
    secret = api.asked[0].headers["authorization"].removeprefix("Basic ")
    assert KEY not in told + caplog.text
    assert secret not in told + caplog.text


@pytest.mark.parametrize("key", ["", "tab\tin it", "ümlaut", "new\nline"])
def test_a_key_that_cannot_be_one_is_refused_at_once_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        PlanetClient(key)
    assert not key or key not in str(raised.value)


@pytest.mark.parametrize(
    "url", ["ftp://api.planet.com", "api.planet.com", "https://u:p@api.planet.com", f"{PLANET_URL}?a=b"]
)
def test_a_url_that_cannot_be_one_is_refused_at_once(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        PlanetClient(KEY, url=url)


def test_words_of_a_terminal_are_not_passed_on(api: Api, client: PlanetClient) -> None:
    api.says(httpx.Response(400, json={"message": "\x1b[31mred\x00 " + "x" * 5000}))
    with pytest.raises(ProviderRefused) as raised:
        get(client)
    assert "\x1b" not in str(raised.value)
    assert len(str(raised.value)) < 700
