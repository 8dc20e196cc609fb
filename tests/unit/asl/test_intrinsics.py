"""The intrinsic functions, one table of values and one of refusals."""

from __future__ import annotations

import pytest

DATA = {
    "n": 3, "s": "a,b", "xs": [1, 2, 3, 4, 5], "o": {"k": [1, "x"], "t": True}, "u": [1, 1, "1", {"a": 1}, {"a": 1}],
    "json": '{"a": [1, null]}', "empty": "", "long": "x" * 10_001, "f": 2.5,
}  # fmt: skip

VALUES = [
    ("States.Array()", []),
    ("States.Array(1, 'two', $.n, true, null, -1.5)", [1, "two", 3, True, None, -1.5]),
    ("States.Array(States.Array($.n))", [[3]]),
    ("States.ArrayPartition($.xs, 2)", [[1, 2], [3, 4], [5]]),
    ("States.ArrayPartition($.xs, 9)", [[1, 2, 3, 4, 5]]),
    ("States.ArrayContains($.xs, 3)", True),
    ("States.ArrayContains($.xs, '3')", False),
    ("States.ArrayContains(States.Array(true), 1)", False),
    ("States.ArrayRange(1, 9, 2)", [1, 3, 5, 7, 9]),
    ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
    ("States.ArrayRange(1, 1000, 1)", list(range(1, 1001))),
    ("States.ArrayGetItem($.xs, 4)", 5),
    ("States.ArrayLength($.xs)", 5),
    ("States.ArrayUnique($.u)", [1, "1", {"a": 1}]),
    ("States.Base64Encode('Data to encode')", "RGF0YSB0byBlbmNvZGU="),
    ("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", "Data to encode"),
    ("States.Hash('input data', 'SHA-1')", "aaff4a450a104cd177d28d18d74485e8cae074b7"),
    ("States.Hash('', 'MD5')", "d41d8cd98f00b204e9800998ecf8427e"),
    ("States.JsonMerge($.o, States.StringToJson('{\"t\": 2}'), false)", {"k": [1, "x"], "t": 2}),
    ("States.StringToJson($.json)", {"a": [1, None]}),
    ("States.JsonToString($.o)", '{"k":[1,"x"],"t":true}'),
    ("States.MathAdd($.n, -1)", 2),
    ("States.MathAdd($.f, 1)", 4),
    ("States.StringSplit('This.is+a,test=string', '.+,=')", ["This", "is", "a", "test", "string"]),
    ("States.StringSplit(',a,,b,', ',')", ["a", "b"]),
    ("States.Format('{} and {}', $.n, $.s)", "3 and a,b"),
    ("States.Format('{}', $.o)", "{k=[1, x], t=true}"),
    ("States.Format('no place')", "no place"),
    (r"States.Format('it\'s \{\} \\ {}', 1)", r"it's {} \ 1"),
    (r"States.Array('it\'s', 'a\{b\}', 'c\\d')", ["it's", "a{b}", "c\\d"]),
    ("States.Format('{}, )', States.Format('({})', $['s']))", "(a,b), )"),
    ("  States.Array( 1 ,2 )  ".strip(), [1, 2]),
    ("States.Array($.xs[1:3], $.xs[?(@ > 4)])", [[2, 3], [5]]),
    ("States.Array($$.State.Name)", ["S"]),
]


@pytest.mark.parametrize(("call", "value"), VALUES)
def test_an_intrinsic_function_gives_its_value(run, call, value):
    result = run({"Type": "Pass", "Parameters": {"v.$": call}}, DATA)
    assert result.error is None, result.cause
    assert result.output == {"v": value}


REFUSALS = [
    "States.ArrayPartition($.xs, 0)",
    "States.ArrayPartition($.n, 1)",
    "States.ArrayRange(1, 2, 0)",
    "States.ArrayRange(0, 1000, 1)",
    "States.ArrayGetItem($.xs, 5)",
    "States.ArrayGetItem($.xs, -1)",
    "States.ArrayLength($.s)",
    "States.Base64Decode('not base64!')",
    "States.Base64Encode($.long)",
    "States.Hash($.long, 'MD5')",
    "States.Hash('a', 'SHA-3')",
    "States.JsonMerge($.o, $.o, true)",
    "States.JsonMerge($.o, $.xs, false)",
    "States.StringToJson('{')",
    "States.MathAdd(2147483647, 1)",
    "States.MathAdd('1', 1)",
    "States.MathRandom(5, 5)",
    "States.StringSplit($.n, ',')",
    "States.Format('{} {}', 1)",
    "States.Format('{}', 1, 2)",
    "States.Format($.n)",
]


@pytest.mark.parametrize("call", REFUSALS)
def test_an_intrinsic_function_that_cannot_answer_fails_by_name_and_says_where(run, call):
    result = run({"Type": "Pass", "Parameters": {"v.$": call}}, DATA)
    assert result.error == "States.IntrinsicFailure"
    assert "v.$" in result.cause


def test_random_numbers_lie_in_their_range_and_repeat_with_a_seed(run):
    parameters = {"free.$": "States.MathRandom(1, 4)", "seeded.$": "States.MathRandom(1, 999, 7)"}
    results = [run({"Type": "Pass", "Parameters": parameters}, {}).output for _ in range(5)]
    assert {1, 2, 3} >= {result["free"] for result in results}
    assert len({result["seeded"] for result in results}) == 1


def test_every_uuid_is_another(run):
    output = run({"Type": "Pass", "Parameters": {"a.$": "States.UUID()", "b.$": "States.UUID()"}}, {}).output
    assert output["a"] != output["b"]
    assert output["a"][14] == "4"
