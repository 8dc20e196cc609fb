"""`imagery workflow`: check and try a state machine, ours or any other, without AWS and without waiting."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from imagery.cli.executions import print_visits
from imagery.cli.options import AsJson
from imagery.cli.printing import Printer
from imagery.cli.visits import visits
from imagery.errors import DefinitionInvalid, InvalidInput
from imagery.model.codec import to_dict
from imagery.model.execution import ExecutionStatus

app = typer.Typer(no_args_is_help=True, help="State machines in the Amazon States Language: validate, run.")

File = Annotated[Path, typer.Argument(help="The state machine, JSON.", metavar="FILE")]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        help="NAME=JSON: what the task answers; repeatable. NAME is its function, or its whole Resource. "
        '{"Error": "…", "Cause": "…"} makes it fail. Several for one name are given in turn.',
    ),
]


@app.command()
def validate(file: File, as_json: AsJson = False) -> None:
    """Check a state machine against the States Language; says the first place that is wrong."""
    from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition

    definition = load_definition(_read(file), resources=ANY_RESOURCE)
    states = list(definition.document["States"])
    printer = Printer(as_json=as_json)
    printer.document({"valid": True, "states": states, "sha256": definition.hash})
    printer.line(f"{file} is valid: {len(states)} states, starting at {definition.document['StartAt']}")


@app.command()
def run(
    file: File,
    payload: Annotated[str, typer.Option("--input", help="JSON, or @file.")] = "{}",
    task: Tasks = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a state machine: tasks answer what --task says, waits and retries take no time."""
    from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
    from imagery.orchestrators.embedded.simulate import simulate

    definition = load_definition(_read(file), resources=ANY_RESOURCE)
    given = Path(payload[1:]) if payload.startswith("@") else None
    parsed = _parse(_read(given) if given else payload, "--input")
    result = simulate(definition, parsed, _tasks(task or []))
    states = visits(result.history, ended_at=result.stopped_at)
    printer = Printer(as_json=as_json)
    printer.document(
        {
            "status": result.status,
            "output": result.output,
            "error": result.error,
            "cause": result.cause,
            "states": [visit.to_dict() for visit in states],
            "history": [to_dict(event) for event in result.history],
        }
    )
    print_visits(printer, states)
    printer.line()
    printer.pairs({"status": result.status, "error": result.error, "cause": result.cause})
    if result.status is ExecutionStatus.SUCCEEDED:
        printer.line(json.dumps(result.output, ensure_ascii=False, indent=2))
    elif result.status is ExecutionStatus.RUNNING:
        printer.line("It waits for a task token, and no timeout ends the wait.")
    if result.status is not ExecutionStatus.SUCCEEDED:
        raise typer.Exit(1)


def _tasks(given: list[str]) -> dict[str, Callable[[Any], Any]]:
    answers: dict[str, list[Any]] = {}
    for each in given:
        name, separator, text = each.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{each!r} is not NAME=JSON", param_hint="--task")
        answers.setdefault(name, []).append(_parse(text, "--task"))
    return {name: _answering(in_turn) for name, in_turn in answers.items()}


def _answering(in_turn: list[Any]) -> Callable[[Any], Any]:
    """A task that gives each answer once, and the last for ever."""
    from imagery.orchestrators.embedded.errors import StateFailed

    left = list(in_turn)

    def answer(_arguments: Any) -> Any:
        value = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(value, dict) and isinstance(value.get("Error"), str) and set(value) <= {"Error", "Cause"}:
            raise StateFailed(value["Error"], str(value.get("Cause", "")))
        return value

    return answer


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DefinitionInvalid(f"{path} is not UTF-8 text: {error}") from error


def _parse(text: str, option: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{text[:60]!r} is not JSON: {error}", param_hint=option) from error
