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
    data: Annotated[Path | None, typer.Option("--data", help="Folder of scenes; synthetic ones without.")] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8081,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Serve scenes as Earth Search does, until Ctrl-C."""
    from imagery.sandbox.earth_search import create_app
    from imagery.sandbox.opening import open_sandbox
    from imagery.serving.server import open_listener, serve, url_of
    from imagery.serving.stopping import stopping_on_signals

    set_up_logging("WARNING")
    printer = Printer(as_json=as_json)
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

        serve(create_app(scenes), listener, stop=stop, on_started=say_where)
