"""`imagery demo`: the main job, shown offline in one command."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagery.cli.aoi_file import read_aoi
from imagery.cli.group import report
from imagery.cli.options import AsJson, only_feature, parse_end, parse_list, parse_start
from imagery.cli.printing import Printer, percent
from imagery.cli.processing import (
    Harmonise,
    Indices,
    Kernel,
    Mask,
    MaxCloudCover,
    MinClear,
    MinCoverage,
    Resolution,
    parse_indices,
)
from imagery.errors import InvalidInput
from imagery.model.outcome import OutcomeStatus
from imagery.model.processing import Processing, Resampling
from imagery.model.subscription import Filters

if TYPE_CHECKING:
    from imagery.demo import Demo
    from imagery.demo.summary import Summary
    from imagery.serving.following import Progress


class Sandbox(StrEnum):
    """Providers that can be had offline."""

    EARTH_SEARCH = "earth-search"
    PLANET = "planet"


def demo(
    *,
    provider: Annotated[Sandbox, typer.Option("--provider", help="Who is played here.")] = Sandbox.EARTH_SEARCH,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of scenes; synthetic ones without.")] = None,
    aoi: Annotated[Path | None, typer.Option("--aoi", help="GeoJSON of the area; else one the scenes fill.")] = None,
    feature: Annotated[list[str] | None, typer.Option("--feature", help="Which of its features: id or place.")] = None,
    collection: Annotated[str | None, typer.Option("--collection", help="Else the one most scenes are of.")] = None,
    assets: Annotated[str | None, typer.Option("--assets", help="As red,nir; else all that every scene has.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First acquisition; else the first scene's.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last acquisition; else the last scene's.")] = None,
    max_cloud_cover: MaxCloudCover = None,
    min_clear: MinClear = None,
    min_coverage: MinCoverage = None,
    mask: Mask = False,
    harmonise: Harmonise = False,
    index: Indices = None,
    resolution: Resolution = None,
    resampling: Kernel = Resampling.NEAREST,
    state_dir: Annotated[Path, typer.Option("--state-dir", help="Where it keeps everything.")] = Path("imagery-demo"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Preferred; a free one if taken.")] = 8080,
    stay: Annotated[bool | None, typer.Option("--stay/--no-stay", help="Serve on; as usual with a terminal.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what earlier demos left in --state-dir.")] = False,
    as_json: AsJson = False,
) -> None:
    """Subscribe to a field and watch its imagery arrive: service and provider run here, offline.

    Run again with the same options it goes on where it was, even after a crash.
    """
    if feature and aoi is None:
        raise InvalidInput("--feature names a feature of the file given with --aoi", field="--feature")
    from imagery.demo import Wishes, open_demo
    from imagery.demo.summary import summarise, to_document
    from imagery.serving.stopping import stopping_on_signals

    wishes = Wishes(
        state_dir=state_dir,
        data=data,
        aoi=read_aoi(aoi, feature=only_feature(feature)) if aoi else None,
        collection=collection,
        assets=parse_list(assets),
        start_at=parse_start(start),
        end_at=parse_end(end),
        filters=Filters(max_cloud_cover=max_cloud_cover, min_clear_fraction=min_clear, min_coverage=min_coverage),
        processing=Processing(
            mask=mask,
            harmonise=harmonise,
            indices=parse_indices(index),
            resolution_m=resolution,
            resampling=resampling,
        ),
        port=port,
        planet=provider is Sandbox.PLANET,
        fresh=fresh,
    )
    _leave_loopback_alone(os.environ)
    with stopping_on_signals(interrupts=True) as stop, open_demo(wishes) as running:
        progress = _follow(running)
        summary = summarise(running)
        Printer(as_json=as_json).document(to_document(running, summary))
        _print(Printer(as_json=as_json), running, summary)
        trouble = _trouble(running, progress, summary)
        if trouble:
            report("DemoFailed", trouble, as_json=as_json)
            raise typer.Exit(1)
        if stay if stay is not None else sys.stdout.isatty():
            stop.interrupts = False
            typer.echo(f"\nserving {running.stac_url} until Ctrl-C", err=True)
            stop.wait()
            typer.echo("stopping", err=True)


def _follow(running: Demo) -> Progress:
    from imagery.cli.progress import progress_display
    from imagery.serving.following import look_at

    typer.echo(f"{running.scenes} scenes at {running.sandbox_url}, service at {running.api_url}", err=True)
    for remark in running.remarks:
        typer.echo(f"note: {remark}", err=True)
    typer.echo(f"subscription {running.subscription.id}", err=True)
    progress = look_at(running.imagery, running.subscription)
    try:
        with progress_display() as display:
            for progress in running.follow():
                display.show(progress, orders=running.orders)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise
    return progress


def _print(printer: Printer, running: Demo, summary: Summary) -> None:
    printer.table(
        ("date", "item", "status", "cloud", "clear", "coverage", "why not"),
        [
            (
                f"{row.acquired_at:%Y-%m-%d}",
                row.item_id,
                row.status,
                "-" if row.cloud_cover is None else f"{row.cloud_cover:.1f} %",
                percent(row.clear),
                percent(row.coverage),
                "" if row.status is OutcomeStatus.DELIVERED else row.explanation,
            )
            for row in summary.rows
        ],
        empty="No acquisition was found.",
    )
    printer.line()
    printer.pairs({"clips": summary.clips, "STAC": running.stac_url})
    printer.line("\nTry it, while the service is up:")
    printer.line(f"  {summary.python_line}")
    printer.line("\nServe the same catalog again:")
    printer.line(f"  {summary.serve_line}")


def _trouble(running: Demo, progress: Progress, summary: Summary) -> str | None:
    """What went wrong, and what to do; None when nothing did."""
    if progress.trouble:
        return f"the first look at the sandbox failed: {progress.trouble}; start over with --fresh"
    if failed := summary.count(OutcomeStatus.FAILED):
        return (
            f"{failed} of {len(summary.rows)} acquisitions failed; see why with "
            f"`imagery failures list --data-dir {running.state.service}`, start over with --fresh"
        )
    if summary.missing:
        return f"{len(summary.missing)} delivered items are not found by a search, the first is {summary.missing[0]}"
    if not summary.rows:
        return "none of the scenes lies over the area in this time; choose another --aoi, or --start and --end"
    return None


def _leave_loopback_alone(environment: MutableMapping[str, str]) -> None:
    """GDAL and HTTP clients would send even loopback's requests to a proxy that the environment names."""
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, (environment.get(name), "127.0.0.1", "localhost")))
