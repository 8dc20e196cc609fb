"""The tree of commands."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from imagery import __version__
from imagery.cli import (
    control,
    deletions,
    events,
    executions,
    failures,
    keys,
    orders,
    queue,
    sandbox,
    subscriptions,
    workflow,
)
from imagery.cli.demo import demo
from imagery.cli.group import CommandGroup
from imagery.cli.listen import listen
from imagery.cli.logs import set_up_logging
from imagery.cli.serve import serve
from imagery.cli.settings import config
from imagery.cli.subscribe import create
from imagery.cli.updating import update
from imagery.cli.verify import verify
from imagery.cli.webhooks import webhook

app = typer.Typer(
    name="imagery",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Subscribe to a piece of land: every clear pixel of it, clipped, in your bucket and your STAC catalog.",
)
app.command()(demo)
app.command()(serve)
app.add_typer(keys.app, name="keys")
subscriptions.app.command()(create)
subscriptions.app.command()(update)
subscriptions.app.command()(webhook)
app.add_typer(subscriptions.app, name="subscriptions")
app.command()(queue.requests)
app.add_typer(executions.app, name="executions")
app.add_typer(failures.app, name="failures")
app.add_typer(orders.app, name="orders")
queue.check.command("deletions")(deletions.check)
app.add_typer(events.app, name="events")
app.command()(listen)
app.add_typer(queue.check, name="check")
app.command("deletions")(deletions.list_deletions)
app.command()(verify)
app.add_typer(workflow.app, name="workflow")
app.add_typer(sandbox.app, name="sandbox")
app.command()(control.pause)
app.command()(control.resume)
app.command()(control.limits)
app.command()(config)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"imagery {__version__}")
        raise typer.Exit


@app.callback()
def every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """What happens before any command: warnings go to stderr."""
    del version
    set_up_logging("WARNING")


def main() -> None:
    """The console script."""
    # Python's warnings are for programmers; rasterio's leak out of threads, and mean nothing there.
    logging.captureWarnings(True)
    app()
