"""What Planet quotes of what it was sent: told without our secrets, in whatever form they come back."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from urllib.parse import quote

import httpx
import pytest

from imagery.errors import ProviderError
from imagery.providers.planet.client import PlanetClient
from imagery.providers.planet.orders import PlanetOrders
from imagery.providers.planet.secrets import without_secrets

from .conftest import KEY, Api, Time, a_wish, an_order

PASSWORD = "p@ss:word/0123"
ORDER_KEY = "T2YryuaCMzvR-lupI13SsjlBoWZyFE6icLI-XiiAUeo"
WEBHOOK = f"https://planet:{quote(PASSWORD, safe='')}@x.test/webhooks/planet/{ORDER_KEY}"
SECRETS = (KEY, PASSWORD, quote(PASSWORD, safe=""), "0123@", ORDER_KEY, ORDER_KEY[:12])
QUOTES = (
    f"'{WEBHOOK}' is not a valid URL",
    f"https://planet:{PASSWORD}@x.test/webhooks/planet/{ORDER_KEY}",
    quote(WEBHOOK, safe=""),
    WEBHOOK.replace("/", r"\/"),
    f"could not call /webhooks/planet/{ORDER_KEY[:12]}",
    f"Invalid API key: {KEY}",
    f"Authorization: api-key {KEY}",
    f"password {PASSWORD} is weak",
    "x" * 295 + KEY,
    "x" * 1195 + WEBHOOK,
)


@pytest.fixture
def orders(api: Api, time: Time) -> PlanetOrders:
    http = httpx.Client(transport=httpx.MockTransport(api.handle))
    client = PlanetClient(
        KEY, client=http, logins=[("planet", PASSWORD)], sleep=time.sleep, jitter=lambda: 1.0, monotonic=time
    )
    return PlanetOrders(client)


@pytest.mark.parametrize("words", QUOTES)
@pytest.mark.parametrize("status", [302, 400, 401, 403, 409, 429, 503, 200])
@pytest.mark.parametrize("form", ["fields", "message", "text", "nested"])
def test_no_answer_of_planets_gives_our_secrets_away(
    api: Api, orders: PlanetOrders, words: str, status: int, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "imagery")
    said = {
        "fields": json.dumps({"field": {words: [{"message": words}]}, "general": [{"message": words}]}),
        "message": json.dumps({"message": words}),
        "text": words,
        "nested": json.dumps({"message": {"quota": [json.dumps({"url": words})]}}),
    }
    headers = {"location": words} if status == 302 and words.isascii() else {}
    api.says(httpx.Response(status, text=said[form], headers=headers))
    with pytest.raises(ProviderError) as raised:
        orders.place("x", a_wish(), webhook_url=WEBHOOK)
    told = caplog.text + str([vars(one) for one in caplog.records if one.name.startswith("imagery")])
    told += repr(orders._client.standing)
    told += "".join(str(error) for error in _chain(raised.value))
    assert not [secret for secret in SECRETS if secret in told]


def _chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *_chain(error.__cause__)]


@pytest.mark.parametrize("words", QUOTES)
def test_an_orders_last_words_are_kept_without_our_secrets(api: Api, orders: PlanetOrders, words: str) -> None:
    message = f"Failed: {json.dumps({'field': {'url': [{'message': words}]}})}"
    api.says(httpx.Response(200, json=an_order(state="failed", last_message=message, error_hints=[words])))
    reading = orders.get("x")
    assert reading is not None
    assert not [secret for secret in SECRETS if secret in repr(reading)]
    assert reading.message


def test_a_login_in_a_header_is_not_told(orders: PlanetOrders) -> None:
    login = base64.b64encode(f"planet:{PASSWORD}".encode()).decode()
    assert login.rstrip("=") not in orders._client.redact(f"we sent {login} and got 500")


def test_plain_words_stay_as_they_are() -> None:
    words = "Item ID 20200925_161029 at https://docs.planet.com/x?y=1 is no PSScene; see support@planet.com"
    assert without_secrets(words) == words


def test_our_own_sentence_says_nothing_of_planets(api: Api, orders: PlanetOrders) -> None:
    api.says(httpx.Response(401, json={"message": "Zzyzx"}))
    with pytest.raises(ProviderError) as raised:
        orders.get("x")
    assert "Zzyzx" in "".join(traceback.format_exception(raised.value))
    standing = orders._client.standing
    assert "IMAGERY_PLANET_API_KEY" in standing.advice
    assert "Zzyzx" not in standing.advice
