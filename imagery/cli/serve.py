"""`imagery serve`: HTTP API, STAC API, worker and schedules in one process, until it is told to stop."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from imagery import __version__
from imagery.cli.house import read_settings
from imagery.cli.logs import set_up_logging
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.cli.redaction import secrets_in

if TYPE_CHECKING:
    from imagery.wiring import Imagery

logger = logging.getLogger(__name__)

LogJson = Annotated[bool, typer.Option("--log-json", help="Log JSON objects instead of lines.")]


def serve(
    *,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = None,
    data_dir: DataDir = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = None,
    log_json: LogJson = False,
    as_json: AsJson = False,
) -> None:
    """Run the service. SIGTERM or Ctrl-C ends it; what is unfinished goes on at the next start."""
    from imagery.api.app import create_app
    from imagery.serving.server import open_listener, url_of
    from imagery.serving.server import serve as serve_http
    from imagery.serving.stopping import stopping_on_signals
    from imagery.wiring import build
    from imagery.worker import Worker

    settings = read_settings(host=host, port=port, data_dir=data_dir, log_level=log_level)
    set_up_logging(settings.log_level, as_json=log_json, known=secrets_in(os.environ))
    with stopping_on_signals() as stop, build(settings) as imagery:
        worker = Worker(imagery=imagery)
        # Before the port, so that a second service on this data directory hears the true reason.
        worker.start()
        try:
            with open_listener(settings.host, settings.port) as listener:
                url = settings.public_url or url_of(listener)
                say_where = partial(_say_where, imagery, url, as_json=as_json)
                serve_http(create_app(imagery), listener, stop=stop, on_started=say_where)
                logger.info("stopping: finishing what is under way")
        finally:
            worker.stop()
    logger.info("stopped")


def _say_where(imagery: Imagery, url: str, *, as_json: bool) -> None:
    data_dir = imagery.settings.data_dir.absolute()
    has_key = any(key.revoked_at is None for key in imagery.keys.list())
    printer = Printer(as_json=as_json)
    printer.document({"event": "listening", "url": url, "stac_url": f"{url}/stac", "data_dir": str(data_dir)})
    printer.line(f"imagery {__version__} is listening")
    printer.pairs(
        {
            "  API": f"{url}/v1  (described at {url}/docs)",
            "  STAC": f"{url}/stac",
            "  data": data_dir,
            "  objects": imagery.settings.objects_url or data_dir / "objects",
            "  providers": ", ".join(imagery.providers) or "none",
        }
    )
    if not has_key:
        printer.line(f"There is no API key yet. Make one: imagery keys create --owner NAME --data-dir {data_dir}")
