"""A state machine's definition: read from text, checked, and looked up by place. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from imagery.errors import DefinitionInvalid
from imagery.orchestrators.embedded.checks.machine import check_machine
from imagery.orchestrators.embedded.checks.place import join
from imagery.orchestrators.embedded.effects import Frame, Location
from imagery.orchestrators.embedded.rows import dump

MAX_DEFINITION_BYTES = 1_048_576
"""The limit of Step Functions."""


class _AnyResource(Container[str]):
    def __contains__(self, resource: object) -> bool:
        return True


ANY_RESOURCE: Container[str] = _AnyResource()
"""For `load_definition`: take every Resource, as when simulating a machine that was not written for this house."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A checked state machine."""

    text: str
    """As it was loaded; what the engine stores, so that an execution keeps the definition it was started with."""

    document: dict[str, Any]
    hash: str
    """SHA-256 of the text, hex."""

    _machines: dict[Location, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def timeout_s(self) -> int | None:
        """The machine's own TimeoutSeconds."""
        timeout: int | None = self.document.get("TimeoutSeconds")
        return timeout

    def machine(self, location: Location) -> dict[str, Any]:
        """The machine a frame runs in: the whole, a branch of a Parallel or the processor of a Map."""
        found = self._machines.get(location)
        if found is None:
            found = self.document
            for name, branch in location:
                found = inner_machines(found["States"][name])[branch]
            self._machines[location] = found
        return found

    def state(self, frame: Frame) -> dict[str, Any]:
        """The state a frame is in."""
        state: dict[str, Any] = self.machine(frame.location)["States"][frame.state]
        return state


def inner_machines(state: dict[str, Any]) -> list[dict[str, Any]]:
    """A Parallel's branches or a Map's processor; none for other states."""
    if state["Type"] == "Parallel":
        branches: list[dict[str, Any]] = state["Branches"]
        return branches
    if state["Type"] == "Map":
        return [state["ItemProcessor"] if "ItemProcessor" in state else state["Iterator"]]
    return []


def load_definition(text: str, *, resources: Container[str] | None = None) -> Definition:
    """Read and check a state machine.

    `resources` names what its tasks may use besides being one of the three kinds this house carries out
    (`lambda:invoke`, `lambda:invoke.waitForTaskToken`, `sqs:sendMessage`) or a function's ARN: names of functions,
    `sqs:sendMessage`, or whole Resource strings. None leaves the names unchecked; ANY_RESOURCE takes everything.

    Raises DefinitionInvalid, with the JSON pointer of the first place that is wrong.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > MAX_DEFINITION_BYTES:
        raise DefinitionInvalid(f"it has {len(encoded)} bytes; the limit is {MAX_DEFINITION_BYTES}", field="")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        dump(document).encode()  # Python reads 1e999 and halves of surrogate pairs; nothing could store or send them
    except _Duplicate as error:
        place = _pointer_to(text, error.key)
        raise DefinitionInvalid(f"{place}: the key {error.key!r} stands twice in one object", field=place) from None
    except ValueError as error:
        raise DefinitionInvalid(f"the definition is not JSON: {error}", field="") from error
    except RecursionError as error:
        raise DefinitionInvalid("the definition is nested too deeply", field="") from error
    check_machine(document, resources)
    return Definition(text=text, document=document, hash=hashlib.sha256(encoded).hexdigest())


def restore_definition(text: str) -> Definition:
    """A definition that was checked before it was stored: checks that have grown since must not stop its executions."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Definition(text=text, document=json.loads(text), hash=digest)


class _Duplicate(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _Duplicate(key)
        members[key] = value
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


class _Pairs(list[tuple[str, Any]]):
    """An object's members with duplicates kept."""


def _pointer_to(text: str, key: str) -> str:
    """JSON pointer of the first object that holds `key` twice."""
    found = _find_twice(json.loads(text, object_pairs_hook=_Pairs), key, "")
    return "" if found is None else found


def _find_twice(value: Any, key: str, pointer: str) -> str | None:
    members: list[tuple[Any, Any]] = []
    if isinstance(value, _Pairs):
        if sum(name == key for name, _ in value) > 1:
            return join(pointer, key)
        members = list(value)
    elif isinstance(value, list):
        members = list(enumerate(value))
    for name, inner in members:
        found = _find_twice(inner, key, join(pointer, name))
        if found is not None:
            return found
    return None
