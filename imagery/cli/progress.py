"""Long work as it goes on, on stderr: a bar for a terminal, a line for each change for a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from imagery.model.order import OrderStatus
from imagery.model.outcome import OutcomeStatus
from imagery.serving.following import Progress

Orders = Mapping[OrderStatus, int]
"""How many stand how."""

_NONE: Orders = {}


class Display(Protocol):
    """Shows how work stands; may be told the same twice."""

    def show(self, progress: Progress, *, orders: Orders = _NONE) -> None: ...


@contextmanager
def progress_display() -> Iterator[Display]:
    """A display for as long as the block lasts."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    text = TextColumn("{task.description}")
    columns = (SpinnerColumn(), text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield _Bar(bars)


def describe(progress: Progress, orders: Orders = _NONE) -> str:
    """`10 acquisitions found: 6 delivered, 2 skipped, 2 waiting; orders: 2 pending, 6 succeeded`"""
    if progress.first_look is None and not progress.found:
        return "waiting for the first look at the provider"
    parts = [f"{progress.counts[status]} {status}" for status in _SHOWN if progress.counts[status]]
    placed = ", ".join(f"{orders[status]} {status}" for status in OrderStatus if orders.get(status))
    found = f"{progress.found} acquisitions found" + (": " + ", ".join(parts) if parts else "")
    return f"{found}; orders: {placed}" if placed else found


class _Bar:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None)

    def show(self, progress: Progress, *, orders: Orders = _NONE) -> None:
        done = progress.found - progress.waiting
        self._bars.update(
            self._task, description=describe(progress, orders), completed=done, total=progress.found or None
        )


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def show(self, progress: Progress, *, orders: Orders = _NONE) -> None:
        line = describe(progress, orders)
        if line != self._last:
            self._last = line
            typer.echo(line, err=True)


_SHOWN = (OutcomeStatus.DELIVERED, OutcomeStatus.SKIPPED, OutcomeStatus.FAILED, OutcomeStatus.WAITING)
