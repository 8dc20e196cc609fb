"""`imagery listen`: a receiver of webhooks on this machine that checks signatures and prints what comes."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.logs import set_up_logging
from imagery.cli.options import AsJson, DataDir
from imagery.cli.printing import Printer
from imagery.model.event import EventQuery
from imagery.model.paging import walk

if TYPE_CHECKING:
    from imagery.wiring import Imagery

MAX_BODY_BYTES = 2**20
REMEMBERED = 10_000
"""Ids by which a repeat is told."""

LOOK_EVERY_S = 0.5


def listen(
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8090,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        str | None,
        typer.Option("--secret", envvar="WEBHOOK_SECRET", help="whsec_…, as shown once; else nothing is checked."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Receive nothing; print the events of --data-dir as they happen.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print events as they come, until Ctrl-C; with --json one object a line.

    Set the URL it prints as a subscription's webhook. A service on this machine sends there when it was started with
    IMAGERY_WEBHOOK_ALLOW_HTTP=true and IMAGERY_WEBHOOK_ALLOW_PRIVATE=true. With --secret a message that is not signed
    with it is answered 401, as a receiver should.
    """
    printer = Printer(as_json=as_json)
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(data_dir, printer)
        return
    from imagery.notifiers.signing import parse_secret
    from imagery.serving.server import open_listener, serve, url_of
    from imagery.serving.stopping import stopping_on_signals

    if secret is not None:
        parse_secret(secret)
    set_up_logging("WARNING")
    with stopping_on_signals() as stop, open_listener(host, port) as listener:
        url = url_of(listener)

        def say_where() -> None:
            printer.document({"event": "listening", "url": url, "verifies": secret is not None})
            printer.line(f"listening at {url}" + ("" if secret else "; give --secret to have signatures checked"))

        serve(_app(Receiver(printer=printer, secret=secret)), listener, stop=stop, on_started=say_where)


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """What a receiver of webhooks does: check, tell repeats, answer."""

    printer: Printer
    secret: str | None = field(repr=False)
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict, repr=False)

    def receive(self, body: bytes, headers: dict[str, str], *, now: datetime) -> int:
        """Print a message; gives the status to answer with."""
        from imagery.notifiers.signing import why_not_genuine

        if self.secret is not None:
            why = why_not_genuine(body, headers, secret=self.secret, now=now)
            if why is not None:
                typer.echo(f"refused: {why}", err=True)
                return 401
        try:
            event = json.loads(body)
        except (ValueError, RecursionError):
            typer.echo("refused: the body is not JSON", err=True)
            return 400
        message_id = headers.get("webhook-id", "")
        print_event(self.printer, event, is_verified=self.secret is not None, is_repeat=message_id in self._seen)
        self._seen[message_id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return 204


def print_event(printer: Printer, event: Any, **notes: bool) -> None:
    """One line a person reads, or one object a program does."""
    printer.document({"event": event, **{name.removeprefix("is_"): value for name, value in notes.items()}})
    if not isinstance(event, dict):
        printer.line(f"not a CloudEvent: {json.dumps(event)[:200]}")
        return
    given = event.get("data")
    data: dict[str, Any] = given if isinstance(given, dict) else {}
    about = data.get("item_url") or data.get("cause") or data.get("status") or ""
    words = [event.get("time"), event.get("type"), event.get("subject"), about, *_remarks(notes)]
    printer.line("  ".join(str(word) for word in words if word))


def _remarks(notes: dict[str, bool]) -> Iterator[str]:
    if notes.get("is_repeat"):
        yield "(again)"
    if notes.get("is_verified") is False:
        yield "(signature not checked)"


def _app(receiver: Receiver) -> Any:
    """The receiver as an ASGI app that takes a POST to any path."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def take(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return Response(status_code=413)
        return Response(status_code=receiver.receive(body, dict(request.headers), now=datetime.now(UTC)))

    return Starlette(routes=[Route("/{path:path}", take, methods=["POST"])])


def _follow(data_dir: DataDir, printer: Printer) -> None:
    from imagery.notifiers.cloudevents import to_cloudevent

    with open_house(data_dir) as imagery:
        base_url = imagery.settings.public_url or ""
        typer.echo("following; Ctrl-C ends it", err=True)
        for event in follow_events(imagery, wait=lambda: time.sleep(LOOK_EVERY_S)):
            print_event(printer, to_cloudevent(event, base_url=base_url))


def follow_events(imagery: Imagery, *, wait: Callable[[], None], until: threading.Event | None = None) -> Iterator[Any]:
    """Events that happen from now on, in order, until `until` is set; looks again after each `wait`."""
    query = EventQuery(limit=100)
    service = imagery.notifications
    newest = next(iter(service.find(OPERATOR, replace(query, limit=1)).values), None)
    while until is None or not until.is_set():
        fresh = []
        for event in walk(lambda cursor: service.find(OPERATOR, replace(query, cursor=cursor))):
            if event == newest:
                break
            fresh.append(event)
        yield from reversed(fresh)
        newest = fresh[0] if fresh else newest
        wait()
