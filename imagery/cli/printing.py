"""What goes to stdout: one JSON document for programs, tables for people."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from imagery.model.codec import to_dict

WIDE = 240
"""Columns of a table that goes to a file or another program: ids must not be broken there."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Printer:
    """Says a command's result in one of two ways."""

    as_json: bool

    def document(self, value: object) -> None:
        """JSON on one line, in JSON mode only."""
        if self.as_json:
            typer.echo(json.dumps(value, ensure_ascii=False))

    def line(self, text: str = "") -> None:
        """A line for a person."""
        if not self.as_json:
            typer.echo(plain(text))

    def pairs(self, values: Mapping[str, object]) -> None:
        """Names and values under each other, for a person; what is None is left out."""
        if self.as_json:
            return
        shown = {name: value for name, value in values.items() if value is not None}
        width = max(map(len, shown), default=0)
        for name, value in shown.items():
            typer.echo(f"{name:<{width}}  {plain(value)}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
        """A table for a person, or the sentence `empty`."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(plain, row))
        if table.row_count:
            _console().print(table)
        else:
            typer.echo(empty)


def answer_check(report: object, sentence: str, *, failed: int, as_json: bool) -> None:
    """What a checker came to; the command's exit code is 1 when it could not do all of it."""
    printer = Printer(as_json=as_json)
    printer.document(to_dict(report))
    printer.line(sentence)
    if failed:
        raise typer.Exit(1)


def plain(value: object) -> str:
    """As text for a terminal; what others wrote cannot steer it."""
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.2f} s"
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def percent(fraction: Any) -> str:
    """0.5 → `50.0 %`; anything but a number → `-`."""
    return f"{100 * fraction:.1f} %" if isinstance(fraction, int | float) else "-"


def _console() -> Console:
    width = None if sys.stdout.isatty() else WIDE
    return Console(file=sys.stdout, width=width, markup=False, highlight=False, emoji=False)
