"""`imagery sandbox`: a local provider to try the service against."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from imagery.cli.logs import set_up_logging
from imagery.cli.options import AsJson
from imagery.cli.printing import Printer

app = typer.Typer(no_args_is_help=True, help="Local providers to try the service against, offline.")


@app.callback()
def sandbox() -> None:
    """Keeps `earth-search` a command of its own though it is the only one."""


@app.command("earth-search")
def earth_search(
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of scenes, read once, at start; synthetic ones without.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8081,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="FAULT[@KIND][,NAME=VALUE…]", help="Something to do wrong; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve scenes as Earth Search does, until Ctrl-C. What is put into the folder later is served after a new start.

    It can be told to misbehave, to see what the service makes of it. FAULT is 429, 500, 502, slow, truncated,
    wrong-length, corrupt-tiff, 403-expired, missing-asset, empty-page, duplicate-ids or whole-catalogue; KIND is root,
    collection, search, item or file; NAME is path (a glob), after, times, probability, retry_after_s, seconds (of
    slow), keep_bytes (of corrupt-tiff) or asset (of missing-asset): --fault 429@search,times=2,retry_after_s=1

    While it runs, the same as JSON: POST /_faults {"fault": "500", "kind": "file", "times": 3} adds a rule, GET
    /_faults shows them and how often each was met, DELETE /_faults/1 takes one away and DELETE /_faults all.
    """
    from imagery.sandbox.earth_search import create_app
    from imagery.sandbox.faults import Faults, parse_rule
    from imagery.sandbox.opening import open_sandbox
    from imagery.serving.server import open_listener, serve, url_of
    from imagery.serving.stopping import stopping_on_signals

    set_up_logging("WARNING")
    printer = Printer(as_json=as_json)
    faults = Faults(*map(parse_rule, fault or ()))
    with ExitStack() as closing:
        stop = closing.enter_context(stopping_on_signals())
        workdir = Path(closing.enter_context(TemporaryDirectory(prefix="imagery-sandbox-")))
        listener = closing.enter_context(open_listener(host, port))
        scenes = open_sandbox(data, workdir, datetime.now(UTC))
        url = url_of(listener)

        def say_where() -> None:
            count = len(scenes.scenes)
            collections = sorted({scene.collection for scene in scenes.scenes})
            printer.document({"event": "listening", "url": url, "scenes": count, "collections": collections})
            printer.line(f"{count} scenes of {', '.join(collections)} at {url}")
            printer.line(f'Use it: IMAGERY_STAC_PROVIDERS=\'{{"earth-search": "{url}"}}\' imagery serve')

        serve(create_app(scenes, faults=faults), listener, stop=stop, on_started=say_where)
