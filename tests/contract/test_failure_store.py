"""What every FailureStore promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from imagery.errors import CursorInvalid, FailureUnknown, InvalidInput
from imagery.model.failure import FailureQuery

from .examples import NOW, a_failure, a_request


def found(failures, **query) -> list[str]:
    return [each.id for each in failures.find(FailureQuery(**query)).values]


def test_a_kept_failure_comes_back_equal_after_a_restart(back_end, clock):
    failure = a_failure(state=None, owner=None)
    back_end.open(clock).failures.add(failure)
    back_end.close_all()
    assert back_end.open(clock).failures.get(failure.id) == failure


def test_a_failure_told_twice_is_kept_once_as_told_last(failures):
    failures.add(a_failure(request=a_request(subscription_ids=("sub_1", "sub_2"))))
    again = a_failure(cause="another", owner="eva", request=a_request(subscription_ids=("sub_2", "sub_3")))
    failures.add(again)
    assert failures.get(again.id) == again
    assert found(failures) == found(failures, owner="eva") == [again.id]
    assert found(failures, owner="ana") == found(failures, subscription_id="sub_1") == []
    assert found(failures, subscription_id="sub_3") == [again.id]


def test_an_unknown_failure_is_said_to_be_unknown(failures):
    with pytest.raises(FailureUnknown):
        failures.get("exec_nobody")


def test_the_newest_comes_first_and_every_filter_must_match(failures):
    failures.add(a_failure(1))
    failures.add(a_failure(2, owner="eva", error="ProviderRefused"))
    failures.add(a_failure(3, owner=None, request=a_request("x", subscription_ids=("sub_1", "sub_2"))))
    assert found(failures) == ["exec_3", "exec_2", "exec_1"]
    assert found(failures, owner="ana") == ["exec_1"]
    assert found(failures, error="RasterUnreadable") == ["exec_3", "exec_1"]
    assert found(failures, subscription_id="sub_1") == ["exec_3", "exec_2", "exec_1"]
    assert found(failures, subscription_id="sub_2") == ["exec_3"]
    assert found(failures, subscription_id="sub_1", error="ProviderRefused", owner="eva") == ["exec_2"]
    assert found(failures, subscription_id="sub_2", owner="eva") == []


def test_failures_are_found_by_provider_kind_time_and_text(failures):
    landsat = replace(a_request("l"), provider="landsat")
    failures.add(a_failure(1, cause="the file /vsicurl/B04.tif is DAMAGED: 100 %"))
    failures.add(a_failure(2, request=landsat, error="ProviderUnavailable", retryable=True, cause="no answer"))
    failures.add(a_failure(3, owner="eva", retryable=True, error="ProviderUnavailable", replay_id="req_3-2"))
    assert found(failures, provider="landsat") == ["exec_2"]
    assert found(failures, retryable=True) == ["exec_3", "exec_2"]
    assert found(failures, retryable=False) == ["exec_1"]
    assert found(failures, replayed=True) == ["exec_3"]
    assert found(failures, replayed=False) == ["exec_2", "exec_1"]
    assert found(failures, failed_from=NOW + timedelta(seconds=2)) == ["exec_3", "exec_2"]
    assert found(failures, failed_to=NOW + timedelta(seconds=2)) == ["exec_2", "exec_1"]
    assert found(failures, text="damaged: 100 %") == ["exec_1"]
    assert found(failures, text="%") == ["exec_1"]
    assert found(failures, text="100 _") == []
    assert found(failures, retryable=True, replayed=False, provider="landsat", owner="ana", text="answer") == ["exec_2"]


def test_failures_are_counted_by_error_whatever_the_page(failures):
    for n in range(5):
        error = "AssetMissing" if n % 2 else "ProviderRefused"
        failures.add(a_failure(n, error=error, owner="ana" if n < 4 else "eva"))
    assert failures.counts(FailureQuery()) == {"AssetMissing": 2, "ProviderRefused": 3}
    assert failures.counts(FailureQuery(owner="ana", limit=1)) == {"AssetMissing": 2, "ProviderRefused": 2}
    assert failures.counts(FailureQuery(subscription_id="sub_1", error="AssetMissing")) == {"AssetMissing": 2}
    assert failures.counts(FailureQuery(subscription_id="sub_9")) == {}


def test_a_replayed_failure_is_found_as_such_until_its_replay_has_failed(failures):
    failures.add(a_failure(replay_id="req_1-2"))
    assert failures.get("exec_1").replay_id == "req_1-2"
    failures.add(a_failure())
    assert found(failures, replayed=True) == []


@pytest.mark.parametrize(
    "query",
    [
        FailureQuery(),
        FailureQuery(provider="earth-search"),
        FailureQuery(retryable=False, text="raster"),
        FailureQuery(replayed=False),
        FailureQuery(owner="ana"),
        FailureQuery(error="RasterUnreadable"),
        FailureQuery(subscription_id="sub_1"),
        FailureQuery(subscription_id="sub_1", owner="ana", error="RasterUnreadable"),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_together_hold_every_failure_once_even_of_one_instant(failures, query, limit):
    for n in range(7):
        failures.add(a_failure(n, failed_at=NOW))
    page = failures.find(replace(query, limit=limit))
    ids = [each.id for each in page.values]
    while page.next_cursor:
        page = failures.find(replace(query, limit=limit, cursor=page.next_cursor))
        ids += [each.id for each in page.values]
    assert sorted(ids) == [f"exec_{n}" for n in range(7)]


def test_a_cursor_of_another_query_or_none_is_refused(failures):
    for n in range(2):
        failures.add(a_failure(n))
    cursor = failures.find(FailureQuery(limit=1)).next_cursor
    for query in (FailureQuery(owner="ana", cursor=cursor), FailureQuery(cursor="garbage")):
        with pytest.raises(CursorInvalid):
            failures.find(query)
    with pytest.raises(InvalidInput):
        failures.find(FailureQuery(limit=0))


def test_a_removed_failure_is_gone_from_everywhere(failures):
    failures.add(a_failure())
    failures.remove("exec_1")
    failures.remove("exec_1")
    assert found(failures) == found(failures, subscription_id="sub_1") == []


def test_failures_told_by_many_threads_at_once_are_all_kept(back_end, clock):
    stores = [back_end.open(clock).failures for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stores[n % 2].add(a_failure(n // 2)), range(40)))
    assert len(found(stores[0])) == 20
