"""Checks Choice rules: one operator each, the right literals, Next at the top only."""

from __future__ import annotations

from imagery.orchestrators.embedded.checks.place import Place
from imagery.orchestrators.embedded.choices import COMPARISONS, KINDS, OPERATORS, PATH_COMPARISONS

_BOOLEAN = ("And", "Or", "Not")
_LITERALS = {
    "String": "a string",
    "Numeric": "a number",
    "Boolean": "true or false",
    "Timestamp": "an RFC 3339 timestamp with capital T and Z, such as 2026-05-03T10:00:00Z",
}
_TOP_FIELDS = {"Next", "Comment", "Assign"}


def check_choices(choices: Place) -> None:
    """Every rule of a Choice; that its Next exists is checked with the transitions."""
    choices.must_be(list).must_not_be_empty()
    for rule in choices.items():
        rule.must_be(dict)
        rule.must_have("Next")
        if rule.has("Assign"):
            rule.at("Assign").must_be(dict).template()
        _check_rule(rule, also=_TOP_FIELDS)


def _check_rule(rule: Place, *, also: set[str]) -> None:
    rule.must_be(dict)
    if rule.has("Condition"):
        raise rule.at("Condition").wrong("Condition belongs to JSONata; write a Variable and a comparison")
    combinators = [key for key in _BOOLEAN if rule.has(key)]
    operators = [key for key in rule.value if key in OPERATORS]
    allowed = {*combinators, *operators, *also} | (set() if combinators else {"Variable", "Comment"})
    for key, member in rule.members():
        if key == "Next" and key not in allowed:
            raise member.wrong("only a rule at the top of Choices has a Next")
        if key not in allowed:
            raise member.wrong(f"{key!r} is not a field of a choice rule")
    if len(combinators) + len(operators) != 1:
        found = ", ".join([*combinators, *operators]) or "none"
        raise rule.wrong(f"a choice rule has exactly one operator; found: {found}")
    if combinators:
        _check_combined(rule.at(combinators[0]), negated=combinators[0] == "Not")
        return
    rule.must_have("Variable").path()
    _check_operand(rule.at(operators[0]), operators[0])


def _check_combined(parts: Place, *, negated: bool) -> None:
    if negated:
        _check_rule(parts, also={"Comment"})
        return
    parts.must_be(list).must_not_be_empty()
    for part in parts.items():
        _check_rule(part, also={"Comment"})


def _check_operand(operand: Place, operator: str) -> None:
    if operator in PATH_COMPARISONS:
        operand.path()
        return
    kind = COMPARISONS[operator][0] if operator in COMPARISONS else "Boolean"
    if KINDS[kind](operand.value) is None:
        raise operand.wrong(f"{operator} takes {_LITERALS[kind]}")
