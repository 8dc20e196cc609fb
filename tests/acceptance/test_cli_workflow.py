"""`imagery workflow run`: what --task and --callback answer, and what is said when a name is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from imagery.cli.app import app

SQS = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"


def order(resource: str = "arn:aws:states:::lambda:invoke.waitForTaskToken", **fields: Any) -> dict[str, Any]:
    parameters = {"FunctionName": "${Order}", "Payload": {"token.$": "$$.Task.Token"}}
    if resource == SQS:
        parameters = {"QueueUrl": "u", "MessageBody": {"token.$": "$$.Task.Token"}}
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True, **fields}


@pytest.fixture
def simulate(tmp_path: Path):
    """Run a machine of the one state `Ask`."""

    def simulate(state: dict[str, Any], *options: str) -> Any:
        file = tmp_path / "m.json"
        file.write_text(json.dumps({"StartAt": "Ask", "States": {"Ask": state}}))
        return CliRunner().invoke(app, ["workflow", "run", str(file), "--json", *options])

    return simulate


def test_a_task_may_be_named_by_its_whole_resource_even_if_it_waits_for_a_token(simulate):
    result = simulate(order(SQS), "--task", f'{SQS}={{"Error": "QueueGone", "Cause": "deleted"}}')

    document = json.loads(result.stdout)
    assert (document["error"], document["cause"]) == ("QueueGone", "deleted")
    assert result.stderr == ""


def test_a_callback_answers_the_token_of_its_state_before_the_wait_times_out(simulate):
    result = simulate(order(TimeoutSeconds=60), "--task", "Order={}", "--callback", 'Ask={"id": 7}')

    document = json.loads(result.stdout)
    assert (document["status"], document["output"]) == ("SUCCEEDED", {"id": 7})
    assert result.exit_code == 0


def test_callbacks_are_given_in_turn_and_can_fail_the_task(simulate):
    retried = order(Retry=[{"ErrorEquals": ["Busy"], "MaxAttempts": 1}])
    busy = ("--callback", 'Ask={"Error": "Busy", "Cause": "later"}')

    well = simulate(retried, "--task", "Order={}", *busy, "--callback", "Ask=1")
    badly = simulate(retried, "--task", "Order={}", *busy)

    assert json.loads(well.stdout)["output"] == 1
    assert (json.loads(badly.stdout)["error"], json.loads(badly.stdout)["cause"]) == ("Busy", "later")


def test_a_name_that_matched_nothing_is_reported(simulate):
    result = simulate(order(), "--task", "Order={}", "--task", "Ordre=1", "--callback", "Aks=1")

    assert json.loads(result.stdout)["status"] == "RUNNING"
    assert "--task Ordre: no task" in result.stderr
    assert "--callback Aks: no state" in result.stderr
    assert "--task Order:" not in result.stderr


def test_a_missing_task_names_what_was_wanted_and_what_was_given(simulate):
    result = simulate(order(), "--task", "Ordre=1")

    cause = json.loads(result.stdout)["cause"]
    assert "'Order'" in cause
    assert "'Ordre'" in cause


@pytest.mark.parametrize("given", ["Ask", "=1", "Ask={"])
def test_a_callback_that_cannot_be_read_is_refused(simulate, given):
    result = simulate(order(), "--callback", given)

    assert result.exit_code == 2
    assert "--callback" in result.stderr
