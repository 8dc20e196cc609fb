"""`imagery executions`: what ran, and the states it went through."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from typing import Annotated, Any

import typer

from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir, Limit
from imagery.cli.printing import Printer
from imagery.cli.visits import Visit, visits
from imagery.model.codec import to_dict
from imagery.model.execution import Execution, ExecutionQuery, ExecutionStatus
from imagery.model.paging import walk

app = typer.Typer(no_args_is_help=True, help="Runs of the workflow: list, show.")


@app.command("list")
def list_executions(
    status: Annotated[ExecutionStatus | None, typer.Option("--status", help="Only those.")] = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Newest first."""
    query = ExecutionQuery(status=status, limit=min(limit, 500))
    with open_house(data_dir) as imagery:
        orchestrator = imagery.orchestrator
        found = list(islice(walk(lambda cursor: orchestrator.find(replace(query, cursor=cursor))), limit))
    printer = Printer(as_json=as_json)
    printer.document({"executions": [to_dict(execution) for execution in found]})
    printer.table(
        ("id", "status", "state", "started", "took", "error"),
        [(e.id, e.status, e.state, e.started_at, _took(e), e.error) for e in found],
        empty="Nothing has run yet.",
    )


@app.command()
def show(
    execution_id: Annotated[str, typer.Argument(help="The execution's id: that of its request.", metavar="ID")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """One execution: how it stands, and each state with the time it took."""
    with open_house(data_dir) as imagery:
        execution = imagery.orchestrator.get(execution_id)
        history = imagery.orchestrator.history(execution_id)
    went_through = visits(history, ended_at=execution.stopped_at)
    printer = Printer(as_json=as_json)
    printer.document(
        {
            **to_dict(execution),
            "states": [visit.to_dict() for visit in went_through],
            "history": [to_dict(event) for event in history],
        }
    )
    printer.pairs(
        {
            "id": execution.id,
            "status": execution.status,
            "started": execution.started_at,
            "took": _took(execution),
            "error": execution.error,
            "cause": execution.cause,
            "output": _short(execution.output),
        }
    )
    printer.line()
    print_visits(printer, went_through)


def print_visits(printer: Printer, went_through: list[Visit]) -> None:
    """The states as a table."""
    printer.table(
        ("state", "type", "entered", "took", "failed attempts"),
        [(v.state, v.type, v.entered_at, v.duration, ", ".join(v.failures)) for v in went_through],
        empty="It has entered no state yet.",
    )


def _took(execution: Execution) -> Any:
    return execution.stopped_at - execution.started_at if execution.stopped_at else None


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 400 else f"{text[:400]} … (whole with --json)"
