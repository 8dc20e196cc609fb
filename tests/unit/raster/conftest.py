"""What every test of pixels may lean on: small rasters made on the spot, and a server that can misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

WriteRaster = Callable[..., Path]


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """A GeoTIFF of these pixels, shape (bands, height, width); 10 m of UTM 33N from (500000, 5100000) unless said."""
    count = 0

    def write(data: Any, **profile: Any) -> Path:
        nonlocal count
        count += 1
        path = tmp_path / f"raster-{count}.tif"
        mask = profile.pop("mask", None)
        options = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500_000, 0, -10, 5_100_000), **profile}
        bands, height, width = data.shape
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=data.dtype, **options
            ) as dst,
        ):
            dst.write(data)
            if mask is not None:
                dst.write_mask(np.asarray(mask))
        return path

    return write


@dataclass
class Server:
    """Files over HTTP with Range, as an object store serves them; told how to misbehave by path."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    """Statuses to answer with first, one a request; the last one stays."""
    says: dict[str, str] = field(default_factory=dict)
    """Words of a refusal, instead of its code."""
    cut: dict[str, int] = field(default_factory=dict)
    """How many answers from now are cut off half-way (those to a header's range excluded)."""
    whole_only: bool = False
    """Whether Range headers are passed over, as plain servers do."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """(method, Range header) of every request."""

    def href(self, name: str) -> str:
        return f"{self.url}/{name}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        name = self.path.lstrip("/").partition("?")[0]
        told, asked = self.told, self.headers.get("Range", "")
        told.requests.append((self.command, asked))
        statuses = told.status.get(name, [])
        status = (statuses.pop(0) if len(statuses) > 1 else statuses[0]) if statuses else 200
        body = told.files.get(name)
        if status != 200 or body is None:
            status = status if status != 200 else 404
            code = {404: "NoSuchKey", 403: "AccessDenied"}.get(status, "Other")
            error = (
                f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{told.says.get(name, code)}</Message></Error>"
            )
            self._send(status, error.encode() if with_body else b"", {})
            return
        if not asked or told.whole_only:
            headers = {"Content-Length": str(len(body))} | ({} if told.whole_only else {"Accept-Ranges": "bytes"})
            if not asked and told.cut.get(name, 0) > 0:
                told.cut[name] -= 1
                body = body[: len(body) // 2]
                self.close_connection = True
            self._send(200, body if with_body else b"", headers)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last or len(body) - 1), len(body) - 1) + 1
        part = body[start:stop]
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}", "Content-Length": str(len(part))}
        if start > 0 and told.cut.get(name, 0) > 0:
            told.cut[name] -= 1
            part = part[: len(part) // 2]
            self.close_connection = True
        self._send(206, part, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(ConnectionError):  # GDAL hangs up on a body it has had enough of
            super().handle()

    def log_message(self, *args: Any) -> None:
        """Silence."""


@pytest.fixture
def server() -> Iterator[Server]:
    """On loopback, on a free port."""

    class Handler(_Handler):
        pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    Handler.told = Server(url=f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Handler.told
    httpd.shutdown()
    thread.join()
    httpd.server_close()
