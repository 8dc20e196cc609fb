"""Whatever it is given, the loader answers with a definition or a refusal, and a loaded machine comes to an end."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from imagery.errors import DefinitionInvalid
from imagery.orchestrators.embedded.checks.states import FIELDS
from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
from imagery.orchestrators.embedded.paths import compile_reference, put
from imagery.orchestrators.embedded.simulate import simulate

TEXTS = st.sampled_from(
    ["$", "$.a", "$.a[0]", "$$.State.Name", "$v", "$.a[*]", "$..a", "$[", "States.UUID()", "States.Array($.a)",
     "States.X(", "A", "B", "End", "2026-05-03T10:00:00Z", "States.ALL", "E", "FULL", "", "é", "\ud800"]
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 10), st.floats(0, 3), TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b.$", "Next", "Variable"]), inner, max_size=3),
    ),
    max_leaves=6,
)
HANDLER = st.fixed_dictionaries(
    {"ErrorEquals": st.just(["States.ALL"]), "Next": st.sampled_from(["A", "B"])}, optional={"ResultPath": TEXTS}
)
RULE = st.fixed_dictionaries(
    {"Variable": TEXTS, "Next": st.sampled_from(["A", "B"])},
    optional={"IsPresent": st.booleans(), "IsNull": st.booleans()},
)
STATES = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"Type": st.just(kind)},
        optional={
            **dict.fromkeys(sorted(FIELDS[kind] - {"Type"}), JSON),
            **{name: st.lists(HANDLER, max_size=2) for name in FIELDS[kind] & {"Catch"}},
            **{name: st.lists(RULE, max_size=2) for name in FIELDS[kind] & {"Choices"}},
            **{name: st.sampled_from(["A", "B"]) for name in FIELDS[kind] & {"Next", "Default"}},
        },
    )
)
MACHINES = st.fixed_dictionaries(
    {"StartAt": st.just("A"), "States": st.fixed_dictionaries({"A": STATES}, optional={"B": STATES})}
)


@settings(max_examples=400, deadline=None)
@given(MACHINES, JSON)
def test_a_machine_is_refused_or_runs_to_an_end_whatever_it_is_given(document, payload):
    with contextlib.suppress(DefinitionInvalid):
        definition = load_definition(json.dumps(document), resources=ANY_RESOURCE)
        with contextlib.suppress(UnicodeEncodeError):
            json.dumps([document, payload], ensure_ascii=False).encode()
            result = simulate(definition, payload, {})
            assert result.status in ("SUCCEEDED", "FAILED", "RUNNING")


@given(st.text(max_size=30))
def test_text_is_refused_or_loaded(text):
    with contextlib.suppress(DefinitionInvalid):
        load_definition(text)


@given(
    st.lists(
        st.text(st.characters(exclude_characters="'\\", exclude_categories=["Cs"]), min_size=1, max_size=5), max_size=4
    ),
    JSON,
)
def test_what_is_put_at_a_path_is_found_there(names, value):
    path = compile_reference("$" + "".join(f"['{name}']" for name in names))
    found = put(path, {}, value)
    for name in names:
        found = found[name]
    assert found == value
