"""Short ways to run small machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from imagery.orchestrators.embedded.definition import ANY_RESOURCE, Definition, load_definition
from imagery.orchestrators.embedded.simulate import Simulated, simulate


def load(document: object) -> Definition:
    return load_definition(json.dumps(document), resources=ANY_RESOURCE)


def one_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """A machine of this state, ending with it, and of one that catches."""
    whole = dict(state)
    if "Next" not in whole and whole["Type"] not in ("Succeed", "Fail", "Choice"):
        whole.setdefault("End", True)
    states = {"S": whole}
    targets = [entry["Next"] for key in ("Catch", "Choices") for entry in whole.get(key, []) if "Next" in entry]
    targets += [whole[key] for key in ("Next", "Default") if key in whole]
    states.update({name: {"Type": "Pass", "End": True} for name in targets})
    return {"StartAt": "S", "States": states}


@pytest.fixture
def run() -> Callable[..., Simulated]:
    """Run a machine of one state, or a whole one."""

    def run(state: Mapping[str, Any], payload: Any = None, /, **tasks: Callable[[Any], Any]) -> Simulated:
        document = state if "StartAt" in state else one_state(state)
        return simulate(load(document), payload, tasks)

    return run
