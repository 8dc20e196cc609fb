"""What is refused when a definition is loaded, each with its place."""

from __future__ import annotations

import json

import pytest

from imagery.errors import DefinitionInvalid
from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition

from .conftest import one_state

INVOKE = "arn:aws:states:::lambda:invoke"
TASK = {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "F"}}
PASS = {"Type": "Pass"}
END = {"Type": "Pass", "End": True}
MAP = {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": END}}}
RULE = {"Variable": "$.a", "NumericEquals": 1, "Next": "Y"}


def choice(**rule):
    return {"Type": "Choice", "Choices": [{**rule, "Next": "Y"}]}


def retry(**fields):
    return {**TASK, "Retry": [{"ErrorEquals": ["E"], **fields}]}


def catch(*catchers):
    return {**TASK, "Catch": list(catchers)}


S = "/States/S"
STATES = [
    ({"Type": "Pas"}, f"{S}/Type"),
    ({"Next": "Y"}, S),
    ({"Type": "Pass", "Next": "Y", "End": True}, f"{S}/End"),
    ({"Type": "Pass", "End": "yes"}, f"{S}/End"),
    ({"Type": "Pass", "Comment": 1}, f"{S}/Comment"),
    ({"Type": "Pass", "InputPaht": "$"}, f"{S}/InputPaht"),
    ({"Type": "Pass", "inputPath": "$"}, f"{S}/inputPath"),
    ({"Type": "Pass", "Retry": []}, f"{S}/Retry"),
    ({"Type": "Pass", "ResultSelector": {}}, f"{S}/ResultSelector"),
    ({"Type": "Wait", "Seconds": 1, "Parameters": {}}, f"{S}/Parameters"),
    ({"Type": "Wait", "Seconds": 1, "ResultPath": "$.a"}, f"{S}/ResultPath"),
    ({"Type": "Succeed", "Next": "Y"}, f"{S}/Next"),
    ({"Type": "Succeed", "End": True}, f"{S}/End"),
    ({"Type": "Fail", "OutputPath": "$"}, f"{S}/OutputPath"),
    # Paths
    ({"Type": "Pass", "InputPath": "a"}, f"{S}/InputPath"),
    ({"Type": "Pass", "InputPath": "$.a["}, f"{S}/InputPath"),
    ({"Type": "Pass", "InputPath": "$."}, f"{S}/InputPath"),
    ({"Type": "Pass", "InputPath": 1}, f"{S}/InputPath"),
    ({"Type": "Pass", "OutputPath": "$.a..b.."}, f"{S}/OutputPath"),
    ({"Type": "Pass", "ResultPath": "$.a[*]"}, f"{S}/ResultPath"),
    ({"Type": "Pass", "ResultPath": "$..a"}, f"{S}/ResultPath"),
    ({"Type": "Pass", "ResultPath": "$$.a"}, f"{S}/ResultPath"),
    ({"Type": "Pass", "ResultPath": "$name"}, f"{S}/ResultPath"),
    ({"Type": "Pass", "ResultPath": "States.UUID()"}, f"{S}/ResultPath"),
    # Templates and intrinsics
    ({"Type": "Pass", "Parameters": {"a.$": "b"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": 1}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a": [{"b/c.$": "$["}]}}, f"{S}/Parameters/a/0/b~1c.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "$", "a": 1}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Nope()"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Array(1"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Array(1,)"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Array(1) x"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Array('open)"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": 'States.Array("a")'}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": r"States.Array('a\"b')"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": r"States.Format('a\n{}', 1)"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.UUID(1)"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.MathAdd(1)"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Format()"}}, f"{S}/Parameters/a.$"),
    ({"Type": "Pass", "Parameters": {"a.$": "States.Array(" * 11 + ")" * 11}}, f"{S}/Parameters/a.$"),
    # Task
    ({"Type": "Task"}, S),
    ({**TASK, "TimeoutSeconds": 0}, f"{S}/TimeoutSeconds"),
    ({**TASK, "TimeoutSeconds": 1.5}, f"{S}/TimeoutSeconds"),
    ({**TASK, "TimeoutSeconds": True}, f"{S}/TimeoutSeconds"),
    ({**TASK, "TimeoutSeconds": 10, "TimeoutSecondsPath": "$.t"}, f"{S}/TimeoutSecondsPath"),
    ({**TASK, "HeartbeatSeconds": 10, "HeartbeatSecondsPath": "$.t"}, f"{S}/HeartbeatSecondsPath"),
    ({**TASK, "TimeoutSeconds": 10, "HeartbeatSeconds": 10}, f"{S}/HeartbeatSeconds"),
    ({**TASK, "TimeoutSecondsPath": "$.a[*]"}, f"{S}/TimeoutSecondsPath"),
    ({**TASK, "Resource": "arn:aws:states:::dynamodb:getItem"}, f"{S}/Resource"),
    ({**TASK, "Resource": "arn:aws:states:::lambda:invoke.sync"}, f"{S}/Resource"),
    ({**TASK, "Resource": ""}, f"{S}/Resource"),
    ({**TASK, "Parameters": {"FunctionName": "Unknown"}}, f"{S}/Parameters/FunctionName"),
    ({**TASK, "Parameters": {"FunctionName": "${Unknown}"}}, f"{S}/Parameters/FunctionName"),
    ({**TASK, "Parameters": {}}, f"{S}/Parameters"),
    ({"Type": "Task", "Resource": INVOKE}, S),
    ({"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:Other"}, f"{S}/Resource"),
    # Retry and Catch
    ({**TASK, "Retry": {}}, f"{S}/Retry"),
    ({**TASK, "Retry": [{}]}, f"{S}/Retry/0"),
    (retry(ErrorEquals=[]), f"{S}/Retry/0/ErrorEquals"),
    (retry(ErrorEquals=[1]), f"{S}/Retry/0/ErrorEquals/0"),
    (retry(ErrorEquals=["States.Timeuot"]), f"{S}/Retry/0/ErrorEquals/0"),
    (retry(ErrorEquals=["States.ALL", "E"]), f"{S}/Retry/0/ErrorEquals"),
    ({**TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["E"]}]}, f"{S}/Retry/0/ErrorEquals"),
    (retry(IntervalSeconds=0), f"{S}/Retry/0/IntervalSeconds"),
    (retry(IntervalSeconds=0.5), f"{S}/Retry/0/IntervalSeconds"),
    (retry(MaxAttempts=-1), f"{S}/Retry/0/MaxAttempts"),
    (retry(MaxAttempts=100_000_000), f"{S}/Retry/0/MaxAttempts"),
    (retry(BackoffRate=0.9), f"{S}/Retry/0/BackoffRate"),
    (retry(BackoffRate="2"), f"{S}/Retry/0/BackoffRate"),
    (retry(MaxDelaySeconds=0), f"{S}/Retry/0/MaxDelaySeconds"),
    (retry(MaxDelaySeconds=2, IntervalSeconds=3), f"{S}/Retry/0/MaxDelaySeconds"),
    (retry(JitterStrategy="HALF"), f"{S}/Retry/0/JitterStrategy"),
    (retry(MaxRetries=3), f"{S}/Retry/0/MaxRetries"),
    (catch({"ErrorEquals": ["E"], "Next": "Y", "ResultPath": "$.a[*]"}), f"{S}/Catch/0/ResultPath"),
    (catch({"ErrorEquals": ["States.ALL"], "Next": "Y"}, {"ErrorEquals": ["E"], "Next": "Y"}),
     f"{S}/Catch/0/ErrorEquals"),
    (catch({"ErrorEquals": ["E"], "Next": "Y", "Retry": 1}), f"{S}/Catch/0/Retry"),
    # Choice
    ({"Type": "Choice"}, S),
    ({"Type": "Choice", "Choices": []}, f"{S}/Choices"),
    ({"Type": "Choice", "Choices": [RULE], "End": True}, f"{S}/End"),
    ({"Type": "Choice", "Choices": [RULE], "Next": "Y"}, f"{S}/Next"),
    (choice(Variable="$.a"), f"{S}/Choices/0"),
    (choice(NumericEquals=1), f"{S}/Choices/0"),
    (choice(Variable="$.a", NumericEquals=1, StringEquals="a"), f"{S}/Choices/0"),
    (choice(Variable="a", NumericEquals=1), f"{S}/Choices/0/Variable"),
    (choice(Variable="$.a", NumericEqual=1), f"{S}/Choices/0/NumericEqual"),
    (choice(Variable="$.a", NumericEquals="1"), f"{S}/Choices/0/NumericEquals"),
    (choice(Variable="$.a", NumericEquals=True), f"{S}/Choices/0/NumericEquals"),
    (choice(Variable="$.a", StringEquals=1), f"{S}/Choices/0/StringEquals"),
    (choice(Variable="$.a", BooleanEquals="true"), f"{S}/Choices/0/BooleanEquals"),
    (choice(Variable="$.a", TimestampEquals="2026-05-03"), f"{S}/Choices/0/TimestampEquals"),
    (choice(Variable="$.a", IsNull="yes"), f"{S}/Choices/0/IsNull"),
    (choice(Variable="$.a", StringEqualsPath="b"), f"{S}/Choices/0/StringEqualsPath"),
    (choice(Variable="$.a", StringMatchesPath="$.b"), f"{S}/Choices/0/StringMatchesPath"),
    (choice(And=[]), f"{S}/Choices/0/And"),
    (choice(And=[RULE]), f"{S}/Choices/0/And/0/Next"),
    (choice(Not={"Or": [{"Variable": "$.a"}]}), f"{S}/Choices/0/Not/Or/0"),
    (choice(And=[{"Variable": "$", "IsNull": True}], Variable="$"), f"{S}/Choices/0/Variable"),
    ({"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": True}]}, f"{S}/Choices/0"),
    # Wait
    ({"Type": "Wait"}, S),
    ({"Type": "Wait", "Seconds": 1, "Timestamp": "2026-05-03T10:00:00Z"}, S),
    ({"Type": "Wait", "Seconds": -1}, f"{S}/Seconds"),
    ({"Type": "Wait", "Seconds": "1"}, f"{S}/Seconds"),
    ({"Type": "Wait", "Seconds": 100_000_000}, f"{S}/Seconds"),
    ({"Type": "Wait", "Timestamp": "2026-05-03 10:00"}, f"{S}/Timestamp"),
    ({"Type": "Wait", "SecondsPath": "$.a[*]"}, f"{S}/SecondsPath"),
    # Fail
    ({"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}, f"{S}/ErrorPath"),
    ({"Type": "Fail", "Cause": 1}, f"{S}/Cause"),
    # Parallel and Map
    ({"Type": "Parallel"}, S),
    ({"Type": "Parallel", "Branches": []}, f"{S}/Branches"),
    ({"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": PASS}}]}, f"{S}/Branches/0/States/I"),
    ({"Type": "Parallel", "Branches": [{"StartAt": "S", "States": {"S": END}}]}, f"{S}/Branches/0/States/S"),
    ({"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": {**PASS, "Next": "Y"}}}]},
     f"{S}/Branches/0/States/I/Next"),
    ({"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": END}, "TimeoutSeconds": 1}]},
     f"{S}/Branches/0/TimeoutSeconds"),
    ({"Type": "Map"}, S),
    ({**MAP, "Iterator": MAP["ItemProcessor"]}, f"{S}/Iterator"),
    ({**MAP, "ItemSelector": {}, "Parameters": {}}, f"{S}/Parameters"),
    ({**MAP, "ItemsPath": "$.a[*]"}, f"{S}/ItemsPath"),
    ({**MAP, "MaxConcurrency": -1}, f"{S}/MaxConcurrency"),
    ({**MAP, "MaxConcurrency": 1, "MaxConcurrencyPath": "$.m"}, f"{S}/MaxConcurrencyPath"),
    ({**MAP, "ToleratedFailurePercentage": 101}, f"{S}/ToleratedFailurePercentage"),
    ({**MAP, "ToleratedFailureCount": 1, "ToleratedFailureCountPath": "$.m"}, f"{S}/ToleratedFailureCountPath"),
    ({**MAP, "Label": ""}, f"{S}/Label"),
    ({**MAP, "Label": "a b"}, f"{S}/Label"),
    ({**MAP, "ItemReader": {}}, f"{S}/ItemReader"),
    ({"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {"I": END}, "ProcessorConfig": {"Mode": "FAST"}}},
     f"{S}/ItemProcessor/ProcessorConfig/Mode"),
    # JSONata and variables
    ({"Type": "Pass", "QueryLanguage": "JSONata"}, f"{S}/QueryLanguage"),
    ({"Type": "Pass", "Output": "{% 1 %}"}, f"{S}/Output"),
    (choice(Condition="{% true %}"), f"{S}/Choices/0/Condition"),
    ({"Type": "Pass", "Assign": {"states": 1}}, f"{S}/Assign/states"),
    ({"Type": "Pass", "Assign": {"a-b.$": "$"}}, f"{S}/Assign/a-b.$"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "place"), STATES, ids=[f"{place}-{n}" for n, (_, place) in enumerate(STATES)])
def test_a_wrong_state_is_refused_with_its_place(state, place):
    if "Type" in state:
        document = one_state(state)
        if state.get("Type") == "Succeed":
            document["States"]["S"] = state
    else:
        document = {"StartAt": "S", "States": {"S": state, "Y": END}}
    with pytest.raises(DefinitionInvalid) as refused:
        load_definition(json.dumps(document), resources={"F"})
    assert refused.value.field == place
    assert place in str(refused.value)


MACHINES = [
    ([], ""),
    ({}, ""),
    ({"StartAt": "A"}, ""),
    ({"States": {"A": END}}, ""),
    ({"StartAt": "A", "States": {}}, "/States"),
    ({"StartAt": "B", "States": {"A": END}}, "/StartAt"),
    ({"StartAt": "a", "States": {"A": END}}, "/StartAt"),
    ({"StartAt": "A", "States": {"A": {**PASS, "Next": "B"}}}, "/States/A/Next"),
    ({"StartAt": "A", "States": {"A": PASS}}, "/States/A"),
    ({"StartAt": "A", "States": {"A": {**PASS, "End": False}}}, "/States/A"),
    ({"StartAt": "A", "States": {"A": END, "B": END}}, "/States/B"),
    ({"StartAt": "A", "States": {"A": {**PASS, "Next": "B"}, "B": {**PASS, "Next": "A"}}}, "/States"),
    ({"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [RULE]}}}, "/States/A/Choices/0/Next"),
    ({"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [RULE], "Default": "Z"}, "Y": END}},
     "/States/A/Default"),
    ({"StartAt": "A", "States": {"A": {**TASK, "Catch": [{"ErrorEquals": ["E"], "Next": "Z"}], "End": True}}},
     "/States/A/Catch/0/Next"),
    ({"StartAt": "A" * 81, "States": {"A" * 81: END}}, "/States/" + "A" * 81),
    ({"StartAt": "A", "States": {"A": END}, "Foo": 1}, "/Foo"),
    ({"StartAt": "A", "States": {"A": END}, "Version": "2.0"}, "/Version"),
    ({"StartAt": "A", "States": {"A": END}, "TimeoutSeconds": 0}, "/TimeoutSeconds"),
    ({"StartAt": "A", "States": {"A": END}, "QueryLanguage": "JSONata"}, "/QueryLanguage"),
    ({"StartAt": "A", "States": {"A": END}, "Comment": ["c"]}, "/Comment"),
    ({"StartAt": "A", "States": {"A": "end"}}, "/States/A"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "place"), MACHINES)
def test_a_wrong_machine_is_refused_with_its_place(document, place):
    with pytest.raises(DefinitionInvalid) as refused:
        load_definition(json.dumps(document), resources={"F"})
    assert refused.value.field == place


@pytest.mark.parametrize(("text", "place"), [
    ("", ""),
    ("{", ""),
    ('{"StartAt": NaN}', ""),
    ('{"StartAt": "A", "StartAt": "B", "States": {}}', "/StartAt"),
    ('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}, "A": {"Type": "Succeed"}}}', "/States/A"),
    ("[" * 100_000, ""),
    (" " * 1_100_000, ""),
])  # fmt: skip
def test_text_that_is_no_clean_json_is_refused(text, place):
    with pytest.raises(DefinitionInvalid) as refused:
        load_definition(text)
    assert refused.value.field == place


ACCEPTED = [
    {"Type": "Pass", "Comment": "c", "Next": "Y"},
    {"Type": "Pass", "End": False, "Next": "Y"},
    {**TASK, "Resource": f"{INVOKE}.waitForTaskToken", "HeartbeatSeconds": 5},
    {**TASK, "Parameters": {"FunctionName.$": "$.name"}},
    {**TASK, "Parameters": {"FunctionName": "arn:aws:lambda:eu-central-1:123456789012:function:F:live"}},
    {"Type": "Task", "Resource": "arn:aws:lambda:eu-central-1:123456789012:function:F"},
    {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
     "Parameters": {"QueueUrl": "q", "MessageBody.$": "$"}},
    {"Type": "Task", "Resource": "house:own"},
    {**TASK, "Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 1, "MaxAttempts": 0, "BackoffRate": 1, "Comment": "c"},
                       {"ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 9, "JitterStrategy": "NONE"}]},
    {"Type": "Wait", "SecondsPath": "$$.Execution.Input.s"},
    {"Type": "Fail"},
    {**MAP, "ResultPath": None, "Label": "l"},
    {"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                                      "StartAt": "I", "States": {"I": END}}},
    {"Type": "Pass", "InputPath": "States.StringToJson($.a)", "ResultPath": r"$.a\.b['c d'][0]"},
]  # fmt: skip


@pytest.mark.parametrize("state", ACCEPTED)
def test_what_is_right_is_let_in(state):
    load_definition(json.dumps(one_state(state)), resources={"F", "sqs:sendMessage", "house:own"})


def test_without_names_the_three_integrations_and_nothing_else_are_let_in():
    load_definition(json.dumps(one_state({**TASK, "Parameters": {"FunctionName": "Anything"}})))
    with pytest.raises(DefinitionInvalid):
        load_definition(json.dumps(one_state({"Type": "Task", "Resource": "arn:aws:states:::sns:publish"})))
    load_definition(
        json.dumps(one_state({"Type": "Task", "Resource": "arn:aws:states:::sns:publish"})), resources=ANY_RESOURCE
    )


def test_jsonata_is_refused_in_words_a_person_understands():
    with pytest.raises(DefinitionInvalid, match=r"JSONata.*write it with JSONPath"):
        load_definition(json.dumps({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": END}}))
