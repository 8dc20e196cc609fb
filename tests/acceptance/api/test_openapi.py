"""The API keeps to its own description, whatever is sent: schemathesis, from a fixed seed and for a bounded time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from imagery.api.routes import deletions, events, failures, notifications, orders, service, subscriptions, work

from .conftest import Api
from .examples import subscribe

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]
"""All but positive_data_acceptance: which polygons are valid, no JSON Schema can say."""


def operations() -> list[str]:
    """`METHOD /path` of each, without building a house."""
    app = FastAPI()
    for module in (service, subscriptions, failures, work, events, deletions, notifications, orders):
        app.include_router(module.router)
    return [f"{method.upper()} {path}" for path, item in app.openapi()["paths"].items() for method in item]


@pytest.fixture(scope="module")
def described(shared_api: Api) -> Any:
    return schemathesis.openapi.from_url(f"{shared_api.url}/openapi.json")


def bounded(test: Callable[..., None], strategy: Any) -> Callable[[], None]:
    """`test` with the same few cases every time."""
    limits = settings(
        max_examples=20,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return limits(given(strategy)(test))


@pytest.mark.parametrize("operation", operations())
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_the_api_keeps_to_its_description(
    shared_api: Api, described: Any, operation: str, mode: GenerationMode
) -> None:
    method, path = operation.split(" ")
    client = shared_api.client("schemathesis")
    existing = subscribe(client)["id"]

    def keeps(case: schemathesis.Case) -> None:
        if "subscription_id" in case.path_parameters and mode is GenerationMode.POSITIVE:
            case.path_parameters["subscription_id"] = existing
        case.call_and_validate(headers={"Authorization": client.headers["Authorization"]}, checks=CHECKS)

    with suppress(Unsatisfiable):  # where there is nothing to get wrong
        bounded(keeps, described[path][method].as_strategy(generation_mode=mode))()
