"""What an order made, on disk: whole, checked, gone on with, and its links kept."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from imagery.errors import (
    ChecksumMismatch,
    ImageryError,
    ObjectStoreUnavailable,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderUnavailable,
)
from imagery.model.order import OrderReading, OrderStatus, Result
from imagery.providers.planet.client import PLANET_URL, PlanetClient
from imagery.providers.planet.download import Downloader
from imagery.providers.planet.manifest import parse_manifest
from imagery.providers.planet.orders import parse_order
from imagery.providers.planet.parts import part_of
from imagery.providers.planet.results import manifest_of, wanted_files

from .conftest import KEY, Time

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ITEM = "20200925_161029_69_2223"
TIF, MASK = f"{ITEM}_3B_AnalyticMS_SR_clip.tif", f"{ITEM}_3B_udm2_clip.tif"
CONTENTS = {TIF: b"pixels " * 5000, MASK: b"mask " * 3000}


@dataclass
class Server:
    """Planet's downloads: a link is a file and the number of times links were given out."""

    time: Time
    contents: dict[str, bytes] = field(default_factory=lambda: dict(CONTENTS))
    links: int = 0
    cut: list[int] = field(default_factory=list)
    """Bytes after which the next answers break off."""

    refusals: list[httpx.Response] = field(default_factory=list)
    listing: bytes | None = None
    """A manifest that is not the true one."""

    redirects_to: str | None = None
    asked: list[httpx.Request] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)

    @property
    def manifest(self) -> bytes:
        files = [
            {
                "path": f"PSScene/{name}",
                "size": len(content),
                "digests": {"md5": hashlib.md5(content).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()},
                "annotations": {"planet/item_id": ITEM, "planet/asset_type": "ortho"},
            }
            for name, content in CONTENTS.items()
        ]
        return json.dumps({"name": "", "files": files}).encode()

    def order(self, **changes: Any) -> OrderReading:
        """As it stands now: earlier links work no more."""
        self.links += 1
        names = [*self.contents, "o-1/manifest.json"]
        results = tuple(
            Result(
                name=name,
                url=f"{PLANET_URL}/compute/ops/download/?token=secret-{self.links}&file={quote(name)}",
                expires_at=NOW + timedelta(hours=self.links),
            )
            for name in names
        )
        reading = OrderReading(
            order_id="o-1",
            name="planet-root",
            status=OrderStatus.SUCCEEDED,
            is_partial=False,
            message="",
            item_ids=(ITEM,),
            results=results,
        )
        return replace(reading, **changes)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.asked_at.append(self.time.now)
        if self.redirects_to and request.url.host == "api.planet.com":
            return httpx.Response(302, headers={"location": f"{self.redirects_to}?{request.url.query.decode()}"})
        if self.refusals:
            return self.refusals.pop(0)
        if request.url.params["token"] != f"secret-{self.links}":
            return httpx.Response(403, text="expired")
        name = request.url.params["file"]
        content = (self.listing or self.manifest) if name.endswith("manifest.json") else self.contents[name]
        begins = int(request.headers.get("range", "bytes=0-")[6:-1])
        if begins >= len(content):
            return httpx.Response(416, headers={"content-range": f"bytes */{len(content)}"})
        headers = {"content-length": str(len(content) - begins)}
        if begins:
            headers["content-range"] = f"bytes {begins}-{len(content) - 1}/{len(content)}"
        sent = content[begins:]
        if self.cut and not name.endswith("manifest.json"):
            sent = sent[: self.cut.pop(0)]
        return httpx.Response(206 if begins else 200, headers=headers, stream=httpx.ByteStream(sent))


@pytest.fixture
def server(time: Time) -> Server:
    return Server(time)


@pytest.fixture
def downloader(server: Server, time: Time) -> Iterator[Downloader]:
    with httpx.Client(transport=httpx.MockTransport(server.handle)) as http:
        client = PlanetClient(KEY, client=http, sleep=time.sleep, monotonic=time)
        yield Downloader(client=client, read_order=lambda _: server.order(), clock=lambda: NOW, wait=time.sleep)


def fetch(downloader: Downloader, order: OrderReading, folder: Path) -> dict[str, bytes]:
    paths = downloader.fetch(order, folder, item_ids=(ITEM,), assets=("ortho_analytic_4b_sr", "ortho_udm2"))
    return {key[1]: path.read_bytes() for key, path in paths.items()}


WHOLE = {"ortho_analytic_4b_sr": CONTENTS[TIF], "ortho_udm2": CONTENTS[MASK]}


def test_what_was_asked_for_comes_whole_at_planets_pace(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    assert fetch(downloader, server.order(), tmp_path) == WHOLE
    assert len(server.asked) == 3
    assert server.asked_at == sorted(server.asked_at)
    assert server.asked_at[-1] - server.asked_at[0] >= 0.399


def test_what_is_there_is_not_fetched_again(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    fetch(downloader, server.order(), tmp_path)
    server.asked.clear()
    assert fetch(downloader, server.order(), tmp_path) == WHOLE
    assert len(server.asked) == 1, "the manifest only"


def test_what_broke_off_goes_on_where_it_did(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    server.cut = [1000, 2000, 3000]
    assert fetch(downloader, server.order(), tmp_path) == WHOLE
    assert any(request.headers.get("range", "").startswith("bytes=") for request in server.asked)


def test_what_broke_off_for_good_goes_on_next_time(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    server.cut = [100] * 8
    with pytest.raises(ProviderUnavailable, match="could not be fetched in 4 tries"):
        fetch(downloader, server.order(), tmp_path)
    assert list(tmp_path.glob("*.part"))
    server.cut = []
    assert fetch(downloader, server.order(), tmp_path) == WHOLE


def test_a_file_that_was_whole_when_the_process_died_is_kept(
    server: Server, downloader: Downloader, tmp_path: Path
) -> None:
    fetch(downloader, server.order(), tmp_path)
    [whole] = [path for path in tmp_path.iterdir() if path.name.endswith("_SR_clip.tif")]
    whole.rename(whole.with_name(whole.name + ".part"))
    assert fetch(downloader, server.order(), tmp_path) == WHOLE


def test_a_link_that_has_ended_is_asked_for_anew(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    old = server.order()
    late = replace(downloader, clock=lambda: NOW + timedelta(minutes=59))
    server.links = 4
    assert fetch(late, replace(old, results=old.results), tmp_path) == WHOLE
    assert all(request.url.params["token"] != "secret-1" for request in server.asked)


def test_a_link_that_is_refused_is_asked_for_anew(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    old = server.order()
    server.links = 3
    assert fetch(downloader, old, tmp_path) == WHOLE


def test_a_server_that_wants_us_to_wait_is_waited_for(
    server: Server, downloader: Downloader, time: Time, tmp_path: Path
) -> None:
    server.refusals = [httpx.Response(429, headers={"retry-after": "13"})]
    assert fetch(downloader, server.order(), tmp_path) == WHOLE
    assert 13.0 in time.slept


def test_a_file_that_is_wrong_once_is_fetched_again(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    right, handle, calls = CONTENTS[TIF], server.handle, list[str]()
    server.contents[TIF] = right[:-1] + b"!"

    def handle_and_mend(request: httpx.Request) -> httpx.Response:
        answer = handle(request)
        if request.url.params["file"] == TIF:
            calls.append(TIF)
            server.contents[TIF] = right
        return answer

    with httpx.Client(transport=httpx.MockTransport(handle_and_mend)) as http:
        client = PlanetClient(KEY, client=http, sleep=server.time.sleep, monotonic=server.time)
        assert fetch(replace(downloader, client=client), server.order(), tmp_path) == WHOLE
    assert len(calls) == 2


@pytest.mark.parametrize("wrong", [CONTENTS[TIF][:-1] + b"!", CONTENTS[TIF] + b"!", b"short"])
def test_a_file_that_is_wrong_twice_is_refused(
    server: Server, downloader: Downloader, tmp_path: Path, wrong: bytes
) -> None:
    server.contents[TIF] = wrong
    with pytest.raises(ChecksumMismatch, match="came twice"):
        fetch(downloader, server.order(), tmp_path)


def test_a_file_the_manifest_does_not_list_is_taken_as_it_is(
    server: Server, downloader: Downloader, tmp_path: Path
) -> None:
    order = server.order()
    without = replace(order, results=tuple(one for one in order.results if "manifest" not in one.name))
    assert fetch(downloader, without, tmp_path) == WHOLE


def test_a_delivery_elsewhere_is_refused_clearly(
    downloader: Downloader, tmp_path: Path, recorded: Callable[[str], Any]
) -> None:
    order = parse_order(recorded("orders/get_success_planet_folders"))
    elsewhere = replace(downloader, read_order=lambda _: order)
    with pytest.raises(ProviderAnswerInvalid, match="delivered elsewhere"):
        fetch(elsewhere, order, tmp_path)


def test_what_is_still_on_its_way_is_waited_for(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    order = server.order()
    pending = tuple(replace(one, url=None, is_pending=True) for one in order.results)
    assert fetch(downloader, replace(order, results=pending), tmp_path) == WHOLE
    server.links = 0
    stuck = replace(downloader, read_order=lambda _: replace(order, results=pending))
    with pytest.raises(ProviderUnavailable, match="on its way"):
        fetch(stuck, replace(order, results=pending), tmp_path / "anew")


def test_archives_are_refused_clearly(downloader: Downloader, tmp_path: Path, recorded: Callable[[str], Any]) -> None:
    with pytest.raises(ProviderRefused, match="archives"):
        fetch(downloader, parse_order(recorded("orders/get_success_zip_results")), tmp_path)


def test_a_file_too_large_is_not_taken(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    big = json.dumps({"files": [{"path": TIF, "size": 2**40, "digests": {}}]}).encode()
    server.listing = big
    with pytest.raises(ProviderAnswerInvalid, match="are not taken"):
        fetch(downloader, server.order(), tmp_path)


def test_the_key_does_not_follow_a_redirect(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    server.redirects_to = "https://storage.test/bucket"
    assert fetch(downloader, server.order(), tmp_path) == WHOLE
    for request in server.asked:
        assert ("authorization" in request.headers) == (request.url.host == "api.planet.com")


def test_the_key_is_not_sent_to_other_hosts(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    order = server.order()
    results = tuple(replace(one, url=str(one.url).replace("api.planet.com", "storage.test")) for one in order.results)
    assert fetch(downloader, replace(order, results=results), tmp_path) == WHOLE
    assert not any("authorization" in request.headers for request in server.asked)


def test_links_and_keys_are_in_no_error_log_or_repr(
    server: Server, downloader: Downloader, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="imagery")
    server.refusals = [httpx.Response(500)] * 40
    order = server.order()
    with pytest.raises(ImageryError) as raised:
        fetch(downloader, order, tmp_path)
    told = "".join(traceback.format_exception(raised.value)) + caplog.text + repr(order) + repr(downloader)
    assert "secret-" not in told
    assert KEY not in told


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\x00b", "☂" * 500, "x" * 5000])
def test_a_name_leads_nowhere_else(
    server: Server, downloader: Downloader, tmp_path: Path, name: str, time: Time
) -> None:
    file = f"{name}/{TIF}"
    server.contents = {file: CONTENTS[TIF]}
    folder = tmp_path / "inside"
    [path] = downloader.fetch(server.order(), folder, item_ids=(ITEM,), assets=("ortho_analytic_4b_sr",)).values()
    assert path.parent == folder


def test_mixed_names_are_told_apart(recorded: Callable[[str], Any]) -> None:
    order = parse_order(recorded("orders/get_success_clip_mixed_names"))
    assert manifest_of(order.results) is None
    found = wanted_files(order.results, (), item_ids=order.item_ids, assets=("ortho_analytic_4b", "ortho_udm2"))
    assert sorted(found) == sorted(
        (item, key) for item in order.item_ids for key in ("ortho_analytic_4b", "ortho_udm2")
    )
    assert found[ITEM, "ortho_udm2"].name == MASK


def test_files_in_folders_are_told_apart(recorded: Callable[[str], Any]) -> None:
    order = parse_order(recorded("orders/get_success_planet_folders"))
    assert manifest_of(order.results) is not None
    found = wanted_files(order.results, (), item_ids=order.item_ids, assets=("ortho_analytic_4b_sr", "ortho_udm2"))
    assert len(found) == 4


@pytest.mark.parametrize(
    ("tail", "asset"),
    [
        ("3B_AnalyticMS_SR_8b_harmonized_clip.tif", "ortho_analytic_8b_sr"),
        ("3B_AnalyticMS_SR_harmonized_clip_file_format.tif", "ortho_analytic_4b_sr"),
        ("3B_AnalyticMS_8b_clip.tif", "ortho_analytic_8b"),
        ("3B_AnalyticMS_8b_metadata_clip.xml", "ortho_analytic_8b_xml"),
        ("3B_AnalyticMS_metadata.xml", "ortho_analytic_4b_xml"),
        ("3B_Visual_clip.tif", "ortho_visual"),
        ("metadata.json", None),
    ],
)
def test_names_tell_assets(tail: str, asset: str | None) -> None:
    result = Result(name=f"o/PSScene/{ITEM}_{tail}", url=None, expires_at=None)
    keys = [
        f"ortho_{kind}"
        for kind in ("analytic_8b_sr", "analytic_4b_sr", "analytic_8b", "analytic_8b_xml", "analytic_4b_xml", "visual")
    ]
    assert list(wanted_files([result], (), item_ids=(ITEM,), assets=keys)) == ([(ITEM, asset)] if asset else [])


def test_an_unusual_name_is_told_by_its_annotation(server: Server) -> None:
    body = {"files": [{"path": "odd.tif", "annotations": {"planet/item_id": ITEM, "planet/asset_type": "ortho_udm2"}}]}
    listed = parse_manifest(json.dumps(body).encode())
    result = Result(name="o-1/odd.tif", url=None, expires_at=None)
    assert list(wanted_files([result], listed, item_ids=(ITEM,), assets=("ortho_udm2",))) == [(ITEM, "ortho_udm2")]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"files": [1]}', b'{"files": [{}]}', b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ProviderAnswerInvalid):
        parse_manifest(body)


def test_two_who_fetch_the_same_file_do_not_write_into_each_others(
    server: Server, time: Time, downloader: Downloader, tmp_path: Path
) -> None:
    order = server.order()
    path = tmp_path / "x.tif"
    with part_of(path) as first:
        first.write_bytes(b"half of ")
        with part_of(path) as second:
            second.write_bytes(b"the other's")
            downloader.fetch(order, tmp_path, item_ids=(ITEM,), assets=("ortho_analytic_4b_sr",))
            second.replace(path)
        assert first.read_bytes() == b"half of "
    with part_of(path) as later:
        assert later.read_bytes() == b"half of "
        later.replace(path)
    assert path.read_bytes() == b"half of "


def test_a_file_moved_away_while_it_was_opened_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    with part_of(path) as first:
        first.write_bytes(b"whole")
        first.replace(path)
        with part_of(path) as second:
            second.write_bytes(b"other")
            assert path.read_bytes() == b"whole"


def test_a_folder_that_is_gone_is_told_as_ours_to_mend(server: Server, downloader: Downloader, tmp_path: Path) -> None:
    folder = tmp_path / "gone"

    def handle(request: httpx.Request) -> httpx.Response:
        answer = server.handle(request)
        shutil.rmtree(folder, ignore_errors=True)
        return answer

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        client = PlanetClient(KEY, client=http, sleep=server.time.sleep, monotonic=server.time)
        with pytest.raises(ObjectStoreUnavailable, match="set aside"):
            replace(downloader, client=client).fetch(
                server.order(), folder, item_ids=(ITEM,), assets=("ortho_analytic_4b_sr",)
            )
