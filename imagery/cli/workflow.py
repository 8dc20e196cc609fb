"""`imagery workflow`: check and try a state machine, ours or any other, without AWS and without waiting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from imagery.cli.executions import print_visits
from imagery.cli.options import AsJson
from imagery.cli.printing import Printer, plain
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
Callbacks = Annotated[
    list[str] | None,
    typer.Option(
        "--callback",
        help="STATE=JSON: how the token of a .waitForTaskToken state is answered, as soon as it waits; repeatable. "
        '{"Error": "…", "Cause": "…"} makes it fail. Several for one state are given in turn.',
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
    callback: Callbacks = None,
    as_json: AsJson = False,
) -> None:
    """Simulate a state machine: tasks and callbacks answer what they are told, waits and retries take no time."""
    from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
    from imagery.orchestrators.embedded.simulate import simulate

    definition = load_definition(_read(file), resources=ANY_RESOURCE)
    given = Path(payload[1:]) if payload.startswith("@") else None
    parsed = _parse(_read(given) if given else payload, "--input")
    tasks, callbacks = _answers(task or [], "--task"), _answers(callback or [], "--callback")
    result = simulate(definition, parsed, tasks, callbacks=callbacks)
    _report_unused(tasks, callbacks)
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
        printer.line("It waits for a task token, and no timeout ends the wait; answer it with --callback STATE=JSON.")
    if result.status is not ExecutionStatus.SUCCEEDED:
        raise typer.Exit(1)


class _Answers:
    """A task or callback that gives each answer once, and the last for ever."""

    def __init__(self) -> None:
        self.left: list[Any] = []
        self.is_used = False

    def __call__(self, _arguments: Any) -> Any:
        from imagery.orchestrators.embedded.errors import StateFailed

        self.is_used = True
        value = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(value, dict) and isinstance(value.get("Error"), str) and set(value) <= {"Error", "Cause"}:
            raise StateFailed(value["Error"], str(value.get("Cause", "")))
        return value


def _answers(given: list[str], option: str) -> dict[str, _Answers]:
    """By name, in the order given."""
    answers: dict[str, _Answers] = {}
    for each in given:
        name, separator, text = each.partition("=")
        if not separator or not name:
            kind = "STATE" if option == "--callback" else "NAME"
            raise typer.BadParameter(f"{each!r} is not {kind}=JSON", param_hint=option)
        answers.setdefault(name, _Answers()).left.append(_parse(text, option))
    return answers


def _report_unused(tasks: Mapping[str, _Answers], callbacks: Mapping[str, _Answers]) -> None:
    """A name that is misspelt would else go unnoticed."""
    for name, answers in tasks.items():
        if not answers.is_used:
            typer.echo(plain(f"--task {name}: no task of this name was carried out"), err=True)
    for name, answers in callbacks.items():
        if not answers.is_used:
            typer.echo(plain(f"--callback {name}: no state of this name waited for a task token"), err=True)


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
