"""`imagery sandbox`: a local provider to try the service against."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from imagery.cli.logs import set_up_logging
from imagery.cli.options import AsJson
from imagery.cli.printing import Printer
from imagery.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Local providers to try the service against, offline.")


@app.callback()
def sandbox() -> None:
    """Gathers the commands."""


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


@app.command("planet")
def planet(
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Folder of PlanetScope scenes with STAC items; synthetic ones without."),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8082,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    workdir: Annotated[
        Path | None,
        typer.Option("--workdir", help="Folder that keeps orders and results; opened again, it goes on with them."),
    ] = None,
    api_key: Annotated[str | None, typer.Option("--api-key", help="The only key that is taken; any without.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="How it behaves, such as running_s=30; may be repeated."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option("--fault", metavar="FAULT[@OPERATION][,NAME=VALUE…]", help="Something to do wrong; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve Planet's Data and Orders APIs, make orders and call webhooks of this machine, until Ctrl-C.

    --set NAME is queued_s, running_s, notice (items or order: what webhooks are sent), names (prefixed or mixed),
    link_lifetime_s, redirects, coverage, rate_scale (0: no limits), retry_after_s or quota_hectares.

    FAULT is 429, 429-quota, 401, 403, 500, 502, 503, slow, truncated (done, but the answer is lost), repeated-page,
    corrupt, expired, no-location; order-failed, order-partial, order-cancelled, order-stuck, no-manifest, wrong-digest;
    webhook-lost, webhook-late, webhook-twice, webhook-early, webhook-wrong-order or webhook-garbage. OPERATION is
    search, item, coverage, create, list, get, cancel, download and others; NAME is name (a glob over the order's name,
    the file or the path), after, times, probability, retry_after_s, seconds or keep_bytes:
    --fault truncated@create,times=1 --fault webhook-lost,probability=0.2

    While it runs: GET /_orders counts orders by name, GET /_calls lists webhooks, PATCH /_behaviour {"running_s": 30},
    POST /_faults {"fault": "500", "operation": "get", "times": 3}, DELETE /_faults.
    """
    from imagery.sandbox.planet.app import create_planet_app
    from imagery.sandbox.planet.behaviour import Manners
    from imagery.sandbox.planet.faults import Faults, parse_rule
    from imagery.sandbox.planet.opening import open_planet
    from imagery.serving.server import open_listener, serve, url_of
    from imagery.serving.stopping import stopping_on_signals

    set_up_logging("WARNING")
    printer = Printer(as_json=as_json)
    faults = Faults(*map(parse_rule, fault or ()))
    behaviour = Manners().change(**dict(_assigned(one) for one in settings or ()))
    with ExitStack() as closing:
        stop = closing.enter_context(stopping_on_signals())
        if workdir is None:
            workdir = Path(closing.enter_context(TemporaryDirectory(prefix="imagery-planet-")))
        listener = closing.enter_context(open_listener(host, port))
        opened = closing.enter_context(
            open_planet(workdir, data=data, api_key=api_key, behaviour=behaviour, faults=faults)
        )
        url, count = url_of(listener), len(opened.account.catalogue)

        def say_where() -> None:
            aoi = opened.account.catalogue.aoi
            printer.document({"event": "listening", "url": url, "scenes": count, "aoi": aoi})
            printer.line(f"{count} PSScene scenes at {url}, around this AOI: {json.dumps(aoi)}")
            key = "the key of --api-key" if api_key else "any-key"
            printer.line(f"Use it: IMAGERY_PLANET_URL={url} IMAGERY_PLANET_API_KEY={key} imagery serve")

        serve(create_planet_app(opened), listener, stop=stop, on_started=say_where)


def _assigned(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidInput(f"{text!r} sets nothing; write it as running_s=30", field="set")
    return name, value
