"""An ASGI app on a port of this machine, in a thread, for as long as a `with` block lasts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5


@contextmanager
def serving(app: Any, *, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve `app` (ASGI) and give its URL; port 0 takes a free one. OSError when the port is taken.

    On leaving, requests under way get STOP_TIMEOUT_S seconds to end; then the port is free and the thread gone.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms an answer) off only for sockets that name their protocol.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
        server = _Server(
            uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=STOP_TIMEOUT_S)
        )
        thread = threading.Thread(target=server.run, args=([listener],), name=f"serving {host}", daemon=True)
        thread.start()
        try:
            server.await_start(thread)
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class _Server(uvicorn.Server):
    """Says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        finally:
            self._ready.set()

    def await_start(self, thread: threading.Thread) -> None:
        """Raises RuntimeError when the app did not start."""
        for _ in range(int(START_TIMEOUT_S * 10)):
            if self._ready.wait(0.1) or not thread.is_alive():
                break
        if not self.started:
            raise RuntimeError("the app did not start; its log says why")
