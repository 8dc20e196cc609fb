"""Planet's account, furnished: who waits for Planet how long."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imagery.errors import CredentialsRefused, ProviderUnavailable
from imagery.settings import Settings
from imagery.stores.sqlite.database import Database
from imagery.stores.sqlite.orders import SqliteOrderStore
from imagery.wiring_planet import PlanetAccount, open_planet


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def account(tmp_path: Path, slept: list[float]) -> Iterator[PlanetAccount]:
    with socket.socket() as nobody, ExitStack() as closing:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        settings = Settings(
            data_dir=tmp_path,
            planet_api_key="key-of-the-test",
            planet_url=f"http://127.0.0.1:{nobody.getsockname()[1]}",
            provider_timeout_s=3.0,
        )
        database = Database(tmp_path / "imagery.db")
        closing.callback(database.close)
        opened = open_planet(
            settings,
            closing,
            store=SqliteOrderStore(database),
            together=nullcontext,
            clock=lambda: datetime(2026, 5, 1, tzinfo=UTC),
            sleep=slept.append,
        )
        assert opened is not None
        yield opened


def test_who_looks_at_orders_asks_once_and_a_step_asks_again(account: PlanetAccount, slept: list[float]) -> None:
    with pytest.raises(ProviderUnavailable):
        account.orders.reading_of("o-1")
    assert slept == []
    with pytest.raises(ProviderUnavailable):
        account.source.orders.reading_of("o-1")
    assert len(slept) > 1


def test_a_key_refused_to_one_is_refused_to_all(account: PlanetAccount) -> None:
    account.client.account.was_refused("401: no")
    with pytest.raises(CredentialsRefused):
        account.orders.reading_of("o-1")
    with pytest.raises(CredentialsRefused):
        account.impatient_search.get("PSScene", "A")


def test_a_webhook_that_is_told_to_one_wakes_the_other(account: PlanetAccount) -> None:
    assert account.orders._hint is account.source.orders._hint


def test_the_settings_say_how_long_planet_is_waited_for(account: PlanetAccount) -> None:
    assert account.client.timeout_s == 3.0
