"""An app on a port for as long as a block lasts."""

from __future__ import annotations

import threading
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from imagery.sandbox.serving import serving

APP = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])


def test_an_app_is_served_while_the_block_lasts() -> None:
    before = threading.active_count()
    with serving(APP) as url, httpx.Client() as client:
        assert client.get(url).text == "here"
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    assert threading.active_count() == before


def test_a_port_can_be_asked_for_and_is_free_again_afterwards() -> None:
    with serving(APP) as url:
        port = urlsplit(url).port
        assert port is not None
        with pytest.raises(OSError), serving(APP, port=port):
            pass
    with serving(APP, port=port) as again:
        assert again == url


def test_an_app_that_does_not_start_is_said() -> None:
    async def broken(scope: object, receive: object, send: object) -> None:
        raise RuntimeError("no")

    with serving(broken) as url:
        assert httpx.get(url).status_code == 500
