"""An order's files on disk: fetched a few at a time, gone on with where they broke off, and checked."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx

from imagery.errors import (
    ChecksumMismatch,
    ObjectStoreUnavailable,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRefused,
    ProviderThrottled,
    ProviderUnavailable,
)
from imagery.metering import Meter, meter_in_use
from imagery.model.order import OrderReading, Result
from imagery.ports import Clock
from imagery.providers.exchange import MAX_WAIT_S
from imagery.providers.planet.client import PlanetClient
from imagery.providers.planet.manifest import Listed, listed_as, mismatch, parse_manifest
from imagery.providers.planet.pace import Operation
from imagery.providers.planet.parts import part_of
from imagery.providers.planet.results import is_zipped, manifest_of, wanted_files

logger = logging.getLogger(__name__)

AT_ONCE = 4
"""Files under way; what Planet allows is requests a second, which the client's pace keeps."""

TRIES = 4
"""Of one file, before it is an error."""

MARGIN = timedelta(minutes=2)
"""A link this close to its end is fetched anew first."""

MAX_FILE_BYTES = 4 * 2**30
MAX_MANIFEST_BYTES = 16 * 2**20


@dataclass(frozen=True, kw_only=True)
class Downloader:
    """Fetches what an order made. Any thread."""

    client: PlanetClient
    read_order: Callable[[str], OrderReading]
    """The order as it stands now, whose links work."""

    clock: Clock
    wait: Callable[[float], None] = field(repr=False)

    def fetch(
        self, order: OrderReading, folder: Path, *, item_ids: Sequence[str], assets: Sequence[str]
    ) -> Mapping[tuple[str, str], Path]:
        """(item id, asset key) → file below `folder`; what the order lacks is not in it.

        May be called again on the same folder: what is there and sound is not fetched again, what broke off goes on.
        Raises ChecksumMismatch when a file differs from the manifest twice, ProviderUnavailable, ProviderRefused.
        """
        if is_zipped(order.results):
            raise ProviderRefused(
                f"order {order.order_id} was delivered as archives, which are not opened here; it was not placed by "
                "this service as it is now: replay the failure under another name, or fetch it by hand"
            )
        folder.mkdir(parents=True, exist_ok=True)
        fetching = _Fetching(downloader=self, order=order, folder=folder)
        manifest = fetching.manifest()
        wanted = wanted_files(order.results, manifest, item_ids=item_ids, assets=assets)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="planet-download") as pool:
            jobs = {
                key: pool.submit(fetching.file, result, listed_as(result.name, manifest))
                for key, result in wanted.items()
            }
            try:
                paths = {key: job.result() for key, job in jobs.items()}
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        meter = meter_in_use() or Meter()
        for path in paths.values():
            meter.has_read(path.stat().st_size)
        return paths


@dataclass(kw_only=True)
class _Fetching:
    """One call of `fetch`."""

    downloader: Downloader
    order: OrderReading
    folder: Path

    def manifest(self) -> tuple[Listed, ...]:
        """Empty when the order has none: some deliveries lack it, and then names and sizes are all there is."""
        result = manifest_of(self.order.results)
        if result is None:
            logger.warning("order without a manifest", extra={"order_id": self.order.order_id})
            return ()
        path = self.file(result, None, max_bytes=MAX_MANIFEST_BYTES, again=True)
        return parse_manifest(path.read_bytes())

    def file(
        self, result: Result, listed: Listed | None, *, max_bytes: int = MAX_FILE_BYTES, again: bool = False
    ) -> Path:
        """One result, whole and checked."""
        path = self.folder / _file_name(self.order.order_id, result.name)
        if listed is not None and listed.size is not None and listed.size > max_bytes:
            raise ProviderAnswerInvalid(f"{result.name} has {listed.size} bytes; more than {max_bytes} are not taken")
        if path.exists() and not again and (listed is None or mismatch(path, listed) is None):
            return path
        said = None
        for _ in range(2):
            self._whole(result, path, max_bytes=max_bytes)
            said = None if listed is None else mismatch(path, listed)
            if said is None:
                return path
            path.unlink(missing_ok=True)
        raise ChecksumMismatch(
            f"{result.name} of order {self.order.order_id} came twice with {said}; ask Planet for the order again, and "
            "replay the failure"
        )

    def _whole(self, result: Result, path: Path, *, max_bytes: int) -> None:
        error: ProviderError | None = None
        for attempt in range(TRIES):
            if attempt:
                asked_s = error.retry_after_s if isinstance(error, ProviderThrottled) else None
                self.downloader.wait(min(MAX_WAIT_S, asked_s or 2.0**attempt))
            try:
                link = self._link(result, fresh=attempt > 0)
                with part_of(path) as part:
                    self._go_on(link, part, max_bytes=max_bytes)
                    part.replace(path)
            except (ProviderUnavailable, ProviderThrottled) as passing:
                error = passing
            except OSError as full:
                raise ObjectStoreUnavailable(
                    f"a file could not be set aside ({full}); make room there, or set TMPDIR"
                ) from full
            else:
                return
        raise ProviderUnavailable(f"{result.name} could not be fetched in {TRIES} tries: {error}") from error

    def _link(self, result: Result, *, fresh: bool) -> str:
        """A URL that works; asked for anew when the one at hand has ended, is about to, or has just failed."""
        is_ending = result.expires_at is not None and result.expires_at - MARGIN <= self.downloader.clock()
        if result.url is None or is_ending or fresh:
            current = self.downloader.read_order(self.order.order_id)
            result = next((one for one in current.results if one.name == result.name), result)
        if result.url is None and result.is_pending:
            raise ProviderUnavailable("it is still on its way")
        if result.url is None:
            raise ProviderAnswerInvalid(
                f"{result.name} of order {self.order.order_id} has no link: it was delivered elsewhere"
            )
        return result.url

    def _go_on(self, url: str, part: Path, *, max_bytes: int) -> None:
        """Fetch what is missing of a file that may have been begun. Raises ProviderUnavailable for what may pass."""
        client = self.downloader.client
        client.wait(Operation.DOWNLOAD)
        have = part.stat().st_size if part.exists() else 0
        # Not compressed: what is gone on with, counted and checked is the file itself.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        # The token in the link is enough elsewhere; the key goes to Planet's own address and to no other.
        auth = client.auth if client.is_own(url) else None
        try:
            with client.http.stream(
                "GET", url, headers=headers, auth=auth, follow_redirects=True, timeout=client.timeout_s
            ) as response:
                if response.status_code == 416 and _total(response) == have:
                    return
                _refuse_unsound(response, client, part)
                _write(response, part, after=_resumed_at(response, have), max_bytes=max_bytes)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # The link is left out: it is as good as a key.
            raise ProviderUnavailable(f"it broke off ({type(error).__name__})") from None


def _refuse_unsound(response: httpx.Response, client: PlanetClient, part: Path) -> None:
    """Raises ProviderUnavailable for an answer that holds no file, ProviderThrottled for one that says: later."""
    if response.status_code == 429:
        raise client.throttled(Operation.DOWNLOAD, response)
    if response.status_code == 416:
        os.truncate(part, 0)
        raise ProviderUnavailable("the part that was there is longer than the file")
    if not response.is_success:
        raise ProviderUnavailable(f"its server answered {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProviderUnavailable("its server sent it compressed, which was not asked for")


def _resumed_at(response: httpx.Response, have: int) -> int:
    """Where in the file the answer begins; raises ProviderUnavailable when it is not where it was asked to."""
    if response.status_code != 206:
        return 0
    begins = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    if begins is None or int(begins[1]) != have:
        raise ProviderUnavailable("its server went on with another part than was asked for")
    return have


def _total(response: httpx.Response) -> int | None:
    """The file's size, as an answer says that has nothing more of it."""
    total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("content-range", ""))
    return int(total[1]) if total else None


def _write(response: httpx.Response, part: Path, *, after: int, max_bytes: int) -> None:
    length = response.headers.get("content-length", "")
    written = after
    with part.open("r+b" if after else "wb") as file:
        file.seek(after)
        for chunk in response.iter_raw(2**20):
            written += len(chunk)
            if written > max_bytes:
                raise ProviderAnswerInvalid(f"a file is larger than {max_bytes} bytes; it is not taken")
            file.write(chunk)
    if length.isdigit() and written - after < int(length):
        raise ProviderUnavailable(f"it broke off after {written} bytes")


def _file_name(order_id: str, name: str) -> str:
    """Flat, safe and different for different results: a name comes from outside, and may be bare."""
    digest = hashlib.sha256(f"{order_id} {name}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    tail = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else "_" for c in name.rpartition("/")[2])[-120:]
    return f"{digest}-{tail.lstrip('.')}"
