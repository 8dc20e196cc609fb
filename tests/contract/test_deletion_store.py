"""What every DeletionStore promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from imagery.errors import CursorInvalid
from imagery.model.deletion import Deletion, DeletionQuery
from imagery.model.subscription import SubscriptionStatus

from .examples import NOW


def a_deletion(number: int = 1, **changes: Any) -> Deletion:
    """Those with a higher number began later."""
    deletion = Deletion(
        subscription_id=f"sub_{number}",
        owner="ana",
        provider="earth-search",
        collection="sentinel-2-l2a",
        was=SubscriptionStatus.ENDED,
        began_at=NOW + timedelta(seconds=number),
        items=3,
    )
    return replace(deletion, **changes)


def found(deletions, **query) -> list[str]:
    return [each.subscription_id for each in deletions.find(DeletionQuery(**query)).values]


def test_a_saved_deletion_comes_back_equal_after_a_restart(back_end, clock):
    back_end.open(clock).deletions.save(a_deletion(finished_at=NOW))
    back_end.close_all()
    assert back_end.open(clock).deletions.get("sub_1") == a_deletion(finished_at=NOW)


def test_there_is_one_deletion_a_subscription_as_saved_last(deletions):
    deletions.save(a_deletion())
    deletions.save(a_deletion(objects=7))
    assert deletions.find(DeletionQuery()).values == (a_deletion(objects=7),)
    assert deletions.get("sub_2") is None


def test_those_that_began_last_come_first_and_every_filter_must_match(deletions):
    deletions.save(a_deletion(1, finished_at=NOW))
    deletions.save(a_deletion(2, owner="eva"))
    deletions.save(a_deletion(3))
    assert found(deletions) == ["sub_3", "sub_2", "sub_1"]
    assert found(deletions, owner="ana") == ["sub_3", "sub_1"]
    assert found(deletions, finished=False) == ["sub_3", "sub_2"]
    assert found(deletions, finished=True, owner="eva") == []


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_pages_together_hold_every_deletion_once(deletions, limit):
    for n in range(7):
        deletions.save(a_deletion(n, began_at=NOW))
    page = deletions.find(DeletionQuery(limit=limit))
    ids = [each.subscription_id for each in page.values]
    while page.next_cursor:
        page = deletions.find(DeletionQuery(limit=limit, cursor=page.next_cursor))
        ids += [each.subscription_id for each in page.values]
    assert sorted(ids) == [f"sub_{n}" for n in range(7)]


def test_a_cursor_of_another_query_is_refused(deletions):
    for n in range(2):
        deletions.save(a_deletion(n))
    cursor = deletions.find(DeletionQuery(limit=1)).next_cursor
    with pytest.raises(CursorInvalid):
        deletions.find(DeletionQuery(owner="ana", cursor=cursor))
