"""Checks a state machine as a whole: its own fields, where its states lead, and the machines inside them."""

from __future__ import annotations

from collections.abc import Container, Iterator

from imagery.orchestrators.embedded.checks.place import Place
from imagery.orchestrators.embedded.checks.states import MAX_SECONDS, check_query_language, check_state

MAX_NAME = 80
"""Characters of a state's name."""

MAX_DEPTH = 25
"""Machines within machines; keeps our own recursion bounded."""

_ROOT = {"Comment", "StartAt", "States", "Version", "TimeoutSeconds", "QueryLanguage"}
_BRANCH = {"Comment", "StartAt", "States", "QueryLanguage"}
_PROCESSOR = _BRANCH | {"ProcessorConfig"}


def check_machine(document: object, resources: Container[str] | None) -> None:
    """Raises DefinitionInvalid for the first thing that is wrong."""
    root = Place(document).must_be(dict)
    if root.has("Version") and root.value["Version"] != "1.0":
        raise root.at("Version").wrong("the only version of the States Language is '1.0'")
    if root.has("TimeoutSeconds"):
        root.at("TimeoutSeconds").integer(1, MAX_SECONDS)
    _check(root, _ROOT, resources, names={}, depth=0)


def _check(
    machine: Place, fields: set[str], resources: Container[str] | None, *, names: dict[str, str], depth: int
) -> None:
    machine.must_be(dict)
    if depth > MAX_DEPTH:
        raise machine.wrong(f"machines may be nested {MAX_DEPTH} deep")
    check_query_language(machine)
    for key, member in machine.members():
        if key not in fields:
            raise member.wrong(f"{key!r} is not one of {', '.join(sorted(fields))}")
        if key == "Comment":
            member.must_be(str)
    states = machine.must_have("States").must_be(dict).must_not_be_empty()
    start = machine.must_have("StartAt").must_be(str)
    if start.value not in states.value:
        raise start.wrong(f"there is no state {start.value!r}")
    for name, state in states.members():
        _check_name(name, state, names)
        check_state(state, resources)
        for inner, inner_fields in _inner(state):
            _check(inner, inner_fields, resources, names=names, depth=depth + 1)
    _check_transitions(machine)


def _check_name(name: str, state: Place, names: dict[str, str]) -> None:
    if not name or len(name) > MAX_NAME:
        raise state.wrong(f"a state's name has 1 to {MAX_NAME} characters, this one has {len(name)}")
    if name in names:
        raise state.wrong(
            f"there is another state of this name at {names[name]}; names are unique in the whole machine"
        )
    names[name] = state.pointer


def _inner(state: Place) -> Iterator[tuple[Place, set[str]]]:
    if state.value["Type"] == "Parallel":
        for branch in state.at("Branches").items():
            yield branch, _BRANCH
    elif state.value["Type"] == "Map":
        processor = state.at("ItemProcessor" if state.has("ItemProcessor") else "Iterator")
        if processor.must_be(dict).has("ProcessorConfig"):
            _check_processor_config(processor.at("ProcessorConfig").must_be(dict))
        yield processor, _PROCESSOR


def _check_processor_config(config: Place) -> None:
    mode = config.value.get("Mode", "INLINE")
    if mode not in ("INLINE", "DISTRIBUTED"):
        raise config.at("Mode").wrong("must be INLINE or DISTRIBUTED")


def _targets(state: Place) -> Iterator[Place]:
    """Every place in a state that names another state."""
    for key in ("Next", "Default"):
        if state.has(key):
            yield state.at(key)
    for key in ("Choices", "Catch"):
        if state.has(key):
            yield from (entry.at("Next").must_be(str) for entry in state.at(key).items())


def _check_transitions(machine: Place) -> None:
    states = machine.at("States")
    ends = False
    for _, state in states.members():
        ends = _check_way_on(state) or ends
        for target in _targets(state):
            if target.value not in states.value:
                raise target.wrong(f"there is no state {target.value!r} in this machine")
    if not ends:
        raise states.wrong('no state ends the machine: give one of them "End": true, or add a Succeed or Fail state')
    _check_reachable(machine)


def _check_way_on(state: Place) -> bool:
    """Whether the state can end its machine."""
    kind = state.value["Type"]
    if kind in ("Succeed", "Fail"):
        return True
    if kind == "Choice":
        return False
    ends = bool(state.value.get("End"))
    if state.has("Next") and ends:
        raise state.at("End").wrong("Next and End exclude each other")
    if not state.has("Next") and not ends:
        raise state.wrong("Next or End is missing")
    return ends


def _check_reachable(machine: Place) -> None:
    states = machine.at("States")
    reached, waiting = set(), [machine.value["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(target.value for target in _targets(states.at(name)))
    for name, state in states.members():
        if name not in reached:
            raise state.wrong("no other state leads here")
