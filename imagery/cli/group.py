"""How every command ends: our errors become one message and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from imagery.cli.redaction import redact
from imagery.errors import ImageryError, InvalidInput

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# Typer brings its own click in newer releases and takes the installed one in older ones: ask it for the classes.
_UsageError: Any = typer.BadParameter.__bases__[0]
_ClickError: Any = _UsageError.__bases__[0]


class CommandGroup(TyperGroup):
    """The root of the command tree, as a door: it catches what the house raises, and says it once."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - click's own ending is what this replaces
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and leave with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, prog_name, complete_var, False, windows_expand_args, **extra)
        except ImageryError as error:
            report_error(error, as_json="--json" in given)
            code = FAILED
        except _ClickError as error:
            _report_usage(error, as_json="--json" in given)
            code = error.exit_code
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except BrokenPipeError:
            # Whoever read our output has had enough; without this Python complains once more while it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = FAILED
        sys.exit(code if isinstance(code, int) else 0)


def report_error(error: ImageryError, *, as_json: bool) -> None:
    """One message on stderr; with `as_json` a JSON document of type, detail and field."""
    field = error.field if isinstance(error, InvalidInput) else None
    report(type(error).__name__, str(error), field=field, as_json=as_json)


def report(kind: str, detail: str, *, field: str | None = None, as_json: bool) -> None:
    """The same for what is no exception: work that was done, and ended badly."""
    detail = redact(detail)
    if as_json:
        document = {"error": {"type": kind, "detail": detail, "field": field}}
        typer.echo(json.dumps(document, ensure_ascii=False), err=True)
        return
    place = f" [{field}]" if field and field not in detail else ""
    typer.echo(f"error: {detail}{place}", err=True)


def _report_usage(error: Any, *, as_json: bool) -> None:
    if isinstance(error, _UsageError) and not as_json:
        error.show()
    else:
        report("Usage", error.format_message(), as_json=as_json)
