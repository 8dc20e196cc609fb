"""Files over HTTP with Range on loopback, and who asked for which."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FileServer:
    """Serves one folder; `asked` is (name of the file, Range) of every request."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.asked: list[tuple[str, str]] = []
        self.failing: set[str] = set()
        """Names answered with 503."""

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.asked}

    def opened(self, name: str) -> int:
        """How often a file was opened: its header asked for."""
        return sum(asked.startswith("bytes=0-") for each, asked in self.asked if each == name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: FileServer

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        name, asked = self.path.rpartition("/")[2], self.headers.get("Range", "")
        self.told.asked.append((name, asked))
        path = self.told.folder / name
        status = 503 if name in self.told.failing else 200 if path.is_file() else 404
        body = path.read_bytes() if status == 200 else b""
        headers = {"Accept-Ranges": "bytes"}
        if asked and status == 200:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            stop = min(int(last or len(body) - 1), len(body) - 1) + 1
            headers["Content-Range"] = f"bytes {first}-{stop - 1}/{len(body)}"
            status, body = 206, body[int(first) : stop]
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silence."""


@contextmanager
def serving_files(folder: Path) -> Iterator[FileServer]:
    class Handler(_Handler):
        pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    Handler.told = FileServer(folder, f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Handler.told
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
