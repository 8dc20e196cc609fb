"""The language of indices: what it reckons, and that nothing else can be said in it."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagery.errors import FormulaInvalid
from imagery.raster.formula import MAX_DEPTH, MAX_LENGTH, parse_formula

NAMES = ("nir", "red", "B8A")


def value_of(text: str, **values: float) -> float:
    result = parse_formula(text).evaluate({name: np.array([value]) for name, value in values.items()})
    return float(result[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(a - b) / (a + b)", (5 - 2) / (5 + 2)),
        ("a - b - 1", 2),
        ("a / b / 2", 1.25),
        ("a + b * 2", 9),
        ("-a ** 2", -25),
        ("(-a) ** 2", 25),
        ("a ** -2", 5**-2),
        ("a ** 0.5", math.sqrt(5)),
        ("- - +a", 5),
        (".5 * a + 1e1 - 2.", 10.5),
        ("abs(b - a) + sqrt(a * a)", 8),
        ("log(exp(a))", 5),
        ("min(a, b, 1) + max(a, b, 9)", 10),
        ("clip(a, 0, 1) + clip(b, 3, 4)", 4),
        ("where(a > b, a, b) + where(a < b, 1, 2)", 7),
        ("(a >= 5) * (b != 3) + (a == b) + (b <= 2)", 2),
        (" a\n+\tb ", 7),
    ],
)
def test_it_reckons_as_one_expects(text: str, expected: float) -> None:
    assert value_of(text, a=5, b=2) == pytest.approx(expected)


def test_the_names_are_the_bands_and_not_the_functions() -> None:
    assert parse_formula("2.5 * (nir - red) / max(B8A, 1)").names == {"nir", "red", "B8A"}


@pytest.mark.parametrize("text", ["a / b", "log(b)", "sqrt(b - 1)", "exp(a) ** 10", "(b - 1) ** 0.5"])
def test_what_is_no_finite_number_is_nan_without_a_warning(text: str) -> None:
    assert math.isnan(value_of(text, a=1e6, b=0))


@pytest.mark.parametrize("text", ["a > 1", "where(a > 1, 2, 3)", "max(a, 1)", "clip(a, 0, 1)", "a * 0"])
def test_nan_is_not_lost_on_the_way(text: str) -> None:
    assert math.isnan(value_of(text, a=math.nan))


def test_it_keeps_the_shape_of_its_bands() -> None:
    nir = np.arange(12, dtype=np.float64).reshape(3, 4)

    result = parse_formula("nir * 0 + 2").evaluate({"nir": nir})

    assert result.shape == (3, 4)
    assert result.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("", 1, "ends"),
        ("a +", 4, "ends"),
        ("(a", 3, "')'"),
        ("a)", 2, "operator"),
        ("a b", 3, "operator"),
        ("a ^ 2", 3, "**"),
        ("a = b", 3, "=="),
        ("a ** b", 6, "number"),
        ("a ** 11", 6, "too large"),
        ("a ** 2 ** 3", 8, "power of a power"),
        ("1e999 * a", 1, "too large"),
        ("2a", 1, "digit"),
        ("1.2.3 * a", 1, "digits"),
        ("a < b < c", 7, "chained"),
        ("min(a)", 1, "2 or more"),
        ("where(a, b)", 1, "takes 3"),
        ("sqrt", 1, "is a function"),
        ("a + where(a,, b)", 13, "expected"),
        ("lambda: a", 7, "allowed"),
        ("a.real", 2, "allowed"),
        ("a[0]", 2, "allowed"),
        ("__import__('os')", 12, "allowed"),
        ("open(a)", 1, "no function 'open'"),
        ("a and b", 3, "operator"),
        ("a; b", 2, "allowed"),
        ("a\x00", 2, "allowed"),
        ("rouge_é", 7, "allowed"),
        ("a + \N{FULLWIDTH DIGIT ONE}", 5, "cannot be read"),
        ("a # b", 3, "allowed"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, column: int, word: str) -> None:
    with pytest.raises(FormulaInvalid) as error:
        parse_formula(text)

    assert f"column {column} " in str(error.value)
    assert word in str(error.value)


def test_a_formula_without_a_band_is_refused() -> None:
    with pytest.raises(FormulaInvalid, match="names no band"):
        parse_formula("1 + 2")


def test_a_formula_that_is_too_long_is_refused() -> None:
    assert parse_formula("+".join(["a"] * (MAX_LENGTH // 2))).names == {"a"}
    with pytest.raises(FormulaInvalid, match=str(MAX_LENGTH)):
        parse_formula("a" * (MAX_LENGTH + 1))


@pytest.mark.parametrize("text", ["({})", "-{}", "abs({})", "(-{})"])
def test_a_formula_that_is_too_deep_is_refused(text: str) -> None:
    deep = "a"
    for _ in range(MAX_DEPTH + 1):
        deep = text.format(deep)
    with pytest.raises(FormulaInvalid, match="levels"):
        parse_formula(deep)


def test_a_band_that_was_not_given_is_named() -> None:
    with pytest.raises(FormulaInvalid, match="needs red"):
        parse_formula("nir - red").evaluate({"nir": np.ones(1)})


def test_a_formula_is_a_value() -> None:
    formula = parse_formula("nir - red")

    assert formula == parse_formula("nir - red")
    assert formula != parse_formula("nir + red")
    assert "nir - red" in repr(formula)
    assert pickle.loads(pickle.dumps(formula)).evaluate({"nir": np.ones(1), "red": np.zeros(1)}) == 1


def expressions() -> st.SearchStrategy[str]:
    """Texts that Python's own `eval` reads the same way."""
    numbers = st.floats(0, 1e3, allow_nan=False).map(repr) | st.integers(0, 99).map(str)
    leaves = st.sampled_from(NAMES) | numbers

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        two = st.tuples(inner, inner)
        return st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(" ".join),
            st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner)
            .map(lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})")
            .map(lambda text: f"(1.0 * ({text}))"),
            inner.map(lambda text: f"({text})"),
            inner.map(lambda text: f"-({text})"),
            st.tuples(st.sampled_from(NAMES), st.integers(-3, 3)).map(lambda parts: f"{parts[0]}**{parts[1]}"),
            two.map(lambda parts: f"min({parts[0]}, {parts[1]})"),
            two.map(lambda parts: f"max({parts[0]}, {parts[1]})"),
            inner.map(lambda text: f"abs({text})"),
            st.tuples(inner, inner, inner).map(lambda parts: f"where({parts[0]}, {parts[1]}, {parts[2]})"),
        )

    return (
        st.recursive(leaves, grown, max_leaves=12)
        .map(lambda text: f"nir * 0 + {text}")
        .filter(lambda text: len(text) <= MAX_LENGTH)
    )


@settings(deadline=None)
@given(expressions(), st.lists(st.floats(-100, 100), min_size=3, max_size=3))
def test_it_agrees_with_python(text: str, numbers: list[float]) -> None:
    values = dict(zip(NAMES, numbers, strict=True))
    with np.errstate(all="ignore"):
        given_values: dict[str, Any] = {name: np.float64(value) for name, value in values.items()}
        known = {"min": min, "max": max, "abs": abs, "where": lambda c, a, b: a if c else b}
        try:
            expected = float(eval(text, {"__builtins__": {}}, {**known, **given_values}))
        except (ZeroDivisionError, OverflowError):  # of Python's own numbers
            return

    result = value_of(text, **values)

    if math.isfinite(expected) and not math.isnan(result):
        assert result == pytest.approx(expected, rel=1e-9, abs=1e-12)
    elif math.isfinite(expected):
        # Python's min, max and where pass over a nan or an infinity that ours keep.
        assert "/" in text or "**" in text
    else:
        assert math.isnan(result) or math.isnan(expected)


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="anir()+-*/ .,0123456789<>=!e_'\"[]", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        formula = parse_formula(text)
    except FormulaInvalid:
        return
    result = formula.evaluate({name: np.array([0.5, 0.0, -1.0]) for name in formula.names})
    assert result.shape == (3,)
    assert not np.isinf(result).any()
