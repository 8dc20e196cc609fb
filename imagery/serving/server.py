"""HTTP on a socket of ours, until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from imagery.errors import SettingsInvalid
from imagery.serving.stopping import Stop

GRACE_S = 5
"""How long requests under way are given when the service stops."""


@contextmanager
def open_listener(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket; port 0 takes a free one. Raises SettingsInvalid when it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise SettingsInvalid(
            f"{host!r} is no address of this machine ({error}); 127.0.0.1 serves this machine, 0.0.0.0 all",
            field="IMAGERY_HOST",
        ) from error
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(512)
        except OSError as error:
            raise SettingsInvalid(
                f"port {port} of {host} cannot be listened on ({error.strerror}); choose another with --port, "
                "or --port 0 for any that is free",
                field="IMAGERY_PORT",
            ) from error
        yield listener


def url_of(listener: socket.socket) -> str:
    """Where this machine reaches it."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def serve(app: Any, listener: socket.socket, *, stop: Stop, on_started: Callable[[], None]) -> None:
    """Serve `app` (ASGI) until a stop is asked for, then let requests under way end.

    Raises RuntimeError when the app did not start.
    """
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=GRACE_S),
        stop=stop,
        on_started=on_started,
    )
    server.run([listener])
    if not server.started:
        raise RuntimeError("the HTTP API did not start; the log says why")


class _Server(uvicorn.Server):
    """Says when it has started, and leaves signals to the one who runs it."""

    def __init__(self, config: uvicorn.Config, *, stop: Stop, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._on_started = on_started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._on_started()

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second: whether to stop."""
        return await super().on_tick(counter) or self._stop.asked
