"""Rules for what a sandbox does wrong: which requests they meet, how often, and how they are told."""

from __future__ import annotations

import httpx
import pytest

from imagery.errors import InvalidInput
from imagery.sandbox.earth_search import create_app
from imagery.sandbox.faults import Fault, Faults, Kind, Rule, parse_rule
from imagery.sandbox.scenes import Scenes
from imagery.sandbox.serving import serving


def test_a_rule_lets_some_through_then_strikes_so_often() -> None:
    faults = Faults(Rule(fault=Fault.FAILING, after=1, times=2))
    assert [faults.choose(Kind.ITEM, "/x") is not None for _ in range(5)] == [False, True, True, False, False]
    (standing,) = faults.list()
    assert (standing.seen, standing.applied) == (5, 2)


def test_a_rule_meets_only_its_kind_its_path_and_what_its_fault_makes_sense_for() -> None:
    faults = Faults(Rule(fault=Fault.FAILING, kind=Kind.FILE, path="*/B04.tif"), Rule(fault=Fault.EMPTY_PAGE))
    assert faults.choose(Kind.FILE, "/files/c/i/red/B04.tif") is not None
    assert faults.choose(Kind.FILE, "/files/c/i/nir/B08.tif") is None
    assert faults.choose(Kind.ITEM, "/collections/c/items/B04.tif") is None
    assert faults.choose(Kind.SEARCH, "/search") is not None


def test_of_two_rules_the_second_has_its_turn_when_the_first_is_used_up() -> None:
    faults = Faults(Rule(fault=Fault.THROTTLED, times=1), Rule(fault=Fault.FAILING))
    struck = [faults.choose(Kind.SEARCH, "/search") for _ in range(3)]
    assert [rule.fault if rule else None for rule in struck] == [Fault.THROTTLED, Fault.FAILING, Fault.FAILING]


def test_a_probability_is_decided_by_chance() -> None:
    chances = iter([0.1, 0.9, 0.3])
    faults = Faults(Rule(fault=Fault.FAILING, probability=0.5), chance=lambda: next(chances))
    assert [faults.choose(Kind.ITEM, "/x") is not None for _ in range(3)] == [True, False, True]


def test_a_rule_is_told_in_a_line() -> None:
    assert parse_rule("429@search,times=2,retry_after_s=1") == Rule(
        fault=Fault.THROTTLED, kind=Kind.SEARCH, times=2, retry_after_s=1
    )
    assert parse_rule("slow,seconds=0.5") == Rule(fault=Fault.SLOW, seconds=0.5)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("418", "/fault"),
        ("429@mars", "/kind"),
        ("429,times=0", "/times"),
        ("429,time=1", "/time"),
        ("429,times", "fault"),
        ("500,probability=2", "/probability"),
    ],
)
def test_a_line_that_is_wrong_is_refused_with_the_place(text: str, place: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_rule(text)
    assert caught.value.field == place


def test_a_running_sandbox_is_told_over_http(synthetic: Scenes) -> None:
    with serving(create_app(synthetic)) as url, httpx.Client(base_url=url) as client:
        made = client.post("/_faults", json={"fault": "500", "kind": "search", "times": 1})
        assert made.status_code == 201
        assert [client.get("/search").status_code for _ in range(2)] == [500, 200]
        (rule,) = client.get("/_faults").json()["rules"]
        assert (rule["fault"], rule["seen"], rule["applied"]) == ("500", 2, 1)

        assert client.delete(f"/_faults/{rule['id']}").status_code == 204
        assert client.delete(f"/_faults/{rule['id']}").status_code == 404
        assert client.post("/_faults", json={"fault": "nonsense"}).json()["field"] == "/fault"
        assert client.post("/_faults", content=b"{").status_code == 400

        client.post("/_faults", json={"fault": "429", "retry_after_s": 7})
        throttled = client.get("/collections")
        assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "7")
        assert client.delete("/_faults").status_code == 204
        assert client.get("/collections").status_code == 200


def test_an_empty_page_leads_on_to_the_page_asked_for(synthetic: Scenes) -> None:
    with serving(create_app(synthetic)) as url, httpx.Client(base_url=url) as client:
        question = {"collections": ["sentinel-2-l2a"], "limit": 5}
        whole = client.post("/search", json=question).json()
        for _ in range(2):
            client.post("/_faults", json={"fault": "empty-page", "times": 1})

        first = client.post("/search", json=question).json()
        (link,) = first["links"]
        second = client.post(link["href"], json=link["body"]).json()
        (further,) = second["links"]
        third = client.post(further["href"], json=further["body"]).json()

        assert first["features"] == second["features"] == []
        assert link["body"] != further["body"]
        assert third["features"] == whole["features"]

        client.post("/_faults", json={"fault": "empty-page", "times": 1})
        (link,) = client.get("/search?limit=5").json()["links"]
        assert client.get(link["href"]).json()["features"] == whole["features"]


def test_a_corrupt_file_keeps_its_header_whichever_range_is_asked_for(synthetic: Scenes) -> None:
    scene = synthetic.scenes[0]
    good = scene.files["red"].read_bytes()
    path = f"/files/{scene.collection}/{scene.id}/red/{scene.files['red'].name}"
    with serving(create_app(synthetic)) as url, httpx.Client(base_url=url) as client:
        client.post("/_faults", json={"fault": "corrupt-tiff", "keep_bytes": 100})
        part = client.get(path, headers={"Range": "bytes=90-109"}).content
        whole = client.get(path).content
    assert part[:10] == good[90:100]
    assert part[10:] == bytes(byte ^ 0xFF for byte in good[100:110])
    assert whole[90:110] == part


def test_a_body_can_break_off_and_can_be_too_short_without_saying_so(synthetic: Scenes) -> None:
    with serving(create_app(synthetic)) as url, httpx.Client(base_url=url) as client:
        good = client.get("/collections").content
        client.post("/_faults", json={"fault": "truncated", "times": 1})
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/collections")
        client.post("/_faults", json={"fault": "wrong-length", "times": 1})
        assert client.get("/collections").content == good[: len(good) // 2]


def test_the_whole_catalogue_is_what_no_filter_would_give(synthetic: Scenes) -> None:
    with serving(create_app(synthetic)) as url, httpx.Client(base_url=url) as client:
        client.post("/_faults", json={"fault": "whole-catalogue"})
        nowhere = {"collections": ["none"], "bbox": [0, 0, 1, 1], "limit": 100}
        assert client.post("/search", json=nowhere).json()["numberMatched"] == len(synthetic.scenes)
        assert client.get("/search?bbox=0,0,1,1&limit=100").json()["numberMatched"] == len(synthetic.scenes)
