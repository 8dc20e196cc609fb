"""API keys: made once, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from imagery.errors import InvalidInput, KeyUnknown
from imagery.model.access import ApiKey, Caller
from imagery.service.keys import Keys


class Shelf:
    """A KeyStore in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        self.keys[key.id] = key

    def get(self, key_id: str) -> ApiKey:
        if key_id not in self.keys:
            raise KeyUnknown(f"no API key {key_id}")
        return self.keys[key_id]

    def list(self) -> tuple[ApiKey, ...]:
        return tuple(self.keys.values())

    def revoke(self, key_id: str, *, now: datetime) -> None:
        self.keys[key_id] = replace(self.get(key_id), revoked_at=now)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def keys(shelf: Shelf, clock: Callable[[], datetime]) -> Keys:
    return Keys(store=shelf, clock=clock)


def test_a_key_speaks_for_its_owner(keys: Keys) -> None:
    made, text = keys.create("ana")
    assert keys.authenticate(text) == (made, Caller(owner="ana", operator=False))


def test_an_operators_key_sees_everybodys_things(keys: Keys) -> None:
    _, text = keys.create("olga", operator=True)
    assert keys.authenticate(text)[1].scope is None


def test_what_is_kept_is_the_hash_and_never_the_secret(keys: Keys, shelf: Shelf) -> None:
    made, text = keys.create("ana")
    secret = text.split("_", 2)[2]
    assert secret not in str(shelf.keys)
    assert shelf.keys[made.id].secret_sha256 == hashlib.sha256(secret.encode()).hexdigest()


def test_no_two_keys_are_alike(keys: Keys) -> None:
    assert len({keys.create("ana")[1] for _ in range(50)}) == 50


@pytest.mark.parametrize("owner", ["", " ", "a/b", "a b", ".hidden", "x" * 65, "ana\n", "../ana", "ümit"])
def test_an_owner_whose_name_could_not_be_a_folder_is_refused(keys: Keys, shelf: Shelf, owner: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        keys.create(owner)
    assert refused.value.field == "/owner"
    assert shelf.keys == {}


@pytest.mark.parametrize("owner", ["a", "ana", "Ana.Novak", "ana@farm.example", "7", "x" * 64])
def test_an_owner_may_be_named_as_people_and_farms_are(keys: Keys, owner: str) -> None:
    assert keys.create(owner)[0].owner == owner


def test_every_way_of_being_wrong_is_refused_with_the_same_words(keys: Keys) -> None:
    _, text = keys.create("ana")
    revoked, dead = keys.create("ana")
    keys.revoke(revoked.id)
    other = keys.create("ben")[1]
    mixed = text[: -len("x" * 43)] + other[-43:]
    wrong = ["", "imk_", text[:-1], text + "x", text.upper(), f" {text}", text + "\n", "imk_" + "0" * 12 + text[16:]]
    words = set()
    for attempt in [*wrong, dead, mixed]:
        with pytest.raises(KeyUnknown) as refused:
            keys.authenticate(attempt)
        words.add(str(refused.value))
    assert len(words) == 1


def test_revoking_one_key_leaves_the_owners_others_alone(keys: Keys) -> None:
    first, _ = keys.create("ana")
    _, second = keys.create("ana")
    keys.revoke(first.id)
    assert keys.authenticate(second)[1].owner == "ana"
    with pytest.raises(KeyUnknown):
        keys.revoke("nothing")


def test_the_list_shows_when_each_was_made_and_revoked(keys: Keys, clock: Callable[[], datetime]) -> None:
    made, _ = keys.create("ana")
    clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
    keys.revoke(made.id)
    assert [(key.created_at, key.revoked_at) for key in keys.list()] == [
        (made.created_at, made.created_at + timedelta(days=1))
    ]
