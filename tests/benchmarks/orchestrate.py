"""How many executions a second the embedded orchestrator carries through, and what paused ones cost.

python tests/benchmarks/orchestrate.py [--executions 2000] [--paused 10000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from imagery.model.execution import ExecutionQuery, ExecutionStatus
from imagery.orchestrators.embedded.definition import load_definition
from imagery.orchestrators.embedded.engine import EmbeddedOrchestrator

TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "ResultPath": None}
FOUR_STATES = {
    "StartAt": "A",
    "States": {
        name: {
            **TASK,
            "Parameters": {"FunctionName": "Step", "Payload.$": "$"},
            **({"Next": after} if after else {"End": True}),
        }
        for name, after in (("A", "B"), ("B", "C"), ("C", "D"), ("D", None))
    },
}
PAUSES = {
    "StartAt": "Wait",
    "States": {
        "Wait": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Parameters": {"FunctionName": "Ask", "Payload": {"token.$": "$$.Task.Token"}},
            "End": True,
        }
    },
}


def now() -> datetime:
    return datetime.now(UTC)


def finished(orchestrator: EmbeddedOrchestrator, count: int) -> None:
    """Wait until so many have ended."""
    while orchestrator.running():
        time.sleep(0.02)
    assert count


def throughput(folder: Path, count: int) -> float:
    """Executions a second, four Task states each, every transition durable."""
    definition = load_definition(json.dumps(FOUR_STATES))
    engine = EmbeddedOrchestrator(folder / "fast.db", definition, {"Step": lambda payload: {}}, threads=8, clock=now)
    payload = {"request": {"id": "x" * 900}}
    for number in range(count):
        engine.start(f"e{number}", payload)
    begun = time.perf_counter()
    engine.start_working()
    finished(engine, count)
    seconds = time.perf_counter() - begun
    assert engine.find(ExecutionQuery(status=ExecutionStatus.SUCCEEDED, limit=1)).values
    engine.close(5)
    return count / seconds


def paused(folder: Path, count: int) -> tuple[float, float, float]:
    """Seconds to restart with so many paused; median and 95th percentile of resume → finished, milliseconds."""
    definition = load_definition(json.dumps(PAUSES))
    tokens: list[str] = []
    lock = threading.Lock()

    def ask(payload: dict[str, Any]) -> dict[str, Any]:
        with lock:
            tokens.append(payload["token"])
        return {}

    def opened() -> EmbeddedOrchestrator:
        return EmbeddedOrchestrator(folder / "paused.db", definition, {"Ask": ask}, threads=8, clock=now)

    engine = opened()
    engine.start_working()
    for number in range(count):
        engine.start(f"p{number}", {})
    while engine.running():
        time.sleep(0.05)
    engine.close(5)
    begun = time.perf_counter()
    engine = opened()
    engine.start_working()
    restart_s = time.perf_counter() - begun
    waits = []
    for token in tokens[:200]:
        begun = time.perf_counter()
        engine.resume(token, {"done": True})
        waits.append((time.perf_counter() - begun) * 1000)
    engine.close(5)
    waits.sort()
    return restart_s, waits[len(waits) // 2], waits[int(len(waits) * 0.95)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=2000)
    parser.add_argument("--paused", type=int, default=10_000)
    given = parser.parse_args()
    table = Table("measure", "figure", title="orchestrate")
    with tempfile.TemporaryDirectory() as folder:
        table.add_row(
            f"{given.executions} executions of four Task states", f"{throughput(Path(folder), given.executions):.0f} /s"
        )
        restart_s, median_ms, p95_ms = paused(Path(folder), given.paused)
        table.add_row(f"restart with {given.paused} paused", f"{restart_s * 1000:.0f} ms")
        table.add_row("resume → durable, p50 / p95", f"{median_ms:.1f} / {p95_ms:.1f} ms")
    Console().print(table)


if __name__ == "__main__":
    main()
