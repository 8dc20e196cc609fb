"""What every KeyStore promises."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from imagery.errors import Conflict, KeyUnknown

from .examples import NOW, a_key


def test_a_saved_key_comes_back_equal_after_a_restart(back_end, clock):
    saved = [a_key(1), a_key(2, operator=True), a_key(3, revoked_at=NOW)]
    store = back_end.open(clock).keys
    for key in saved:
        store.add(key)
    back_end.close_all()
    store = back_end.open(clock).keys
    assert [store.get(key.id) for key in saved] == saved


def test_an_unknown_key_is_said_to_be_unknown(keys):
    with pytest.raises(KeyUnknown):
        keys.get("key_nobody")
    with pytest.raises(KeyUnknown):
        keys.revoke("key_nobody", now=NOW)


def test_keys_are_listed_oldest_first(keys):
    for n in (2, 3, 1):
        keys.add(a_key(n))
    assert keys.list() == (a_key(1), a_key(2), a_key(3))


def test_a_revoked_key_is_given_with_the_time_it_was_first_revoked(keys):
    keys.add(a_key())
    keys.revoke("key_1", now=NOW)
    keys.revoke("key_1", now=NOW + timedelta(days=1))
    assert keys.get("key_1") == replace(a_key(), revoked_at=NOW)
    assert keys.list() == (keys.get("key_1"),)


def test_a_key_cannot_be_taken_over_by_another_of_its_id(keys):
    keys.add(a_key())
    with pytest.raises(Conflict):
        keys.add(a_key(owner="eva"))
    assert keys.get("key_1").owner == "ana"


def test_a_key_revoked_in_one_process_opens_nothing_in_another(back_end, opened):
    opened.keys.add(a_key())
    process = back_end.start("opened.keys.revoke('key_1', now=examples.NOW)")
    process.communicate(timeout=60)
    assert opened.keys.get("key_1").revoked_at == NOW
