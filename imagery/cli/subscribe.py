"""`imagery subscriptions create`: from a GeoJSON file to a subscription, and to its first items with `--wait`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imagery.cli.aoi_file import read_aoi
from imagery.cli.group import report
from imagery.cli.house import open_house
from imagery.cli.options import AsJson, DataDir, only_feature, parse_end, parse_labels, parse_list, parse_start
from imagery.cli.printing import Printer
from imagery.cli.processing import (
    AllTouched,
    Buffer,
    Harmonise,
    Indices,
    Kernel,
    Mask,
    MaxCloudCover,
    MinClear,
    MinCoverage,
    Resolution,
    SingleFile,
    parse_indices,
)
from imagery.cli.subscriptions import as_document, facts
from imagery.errors import AlreadyRunning
from imagery.model.access import Caller
from imagery.model.outcome import OutcomeStatus
from imagery.model.processing import Processing, Resampling
from imagery.model.subscription import Filters, Priority, Subscription

if TYPE_CHECKING:
    from imagery.serving.following import Progress
    from imagery.wiring import Imagery

File = Annotated[Path, typer.Argument(help="The area, as GeoJSON.", metavar="FIELD.geojson")]
Feature = Annotated[
    list[str] | None, typer.Option("--feature", help="Which one, if the file holds several: id or place.")
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Follow it until nothing is waiting; work on it here if nobody does.")
]


def create(
    file: File,
    *,
    provider: Annotated[str, typer.Option("--provider", help="Whom to ask.")] = "earth-search",
    collection: Annotated[str, typer.Option("--collection", help="Its collection.")] = "sentinel-2-l2a",
    assets: Annotated[str | None, typer.Option("--assets", help="Asset keys, as red,nir; else the usual ones.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First acquisition: date or instant; else now.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last acquisition; else it goes on.")] = None,
    max_cloud_cover: MaxCloudCover = None,
    min_clear: MinClear = None,
    min_coverage: MinCoverage = None,
    mask: Mask = False,
    harmonise: Harmonise = False,
    all_touched: AllTouched = False,
    buffer: Buffer = 0.0,
    index: Indices = None,
    resolution: Resolution = None,
    resampling: Kernel = Resampling.NEAREST,
    single_file: SingleFile = False,
    priority: Annotated[Priority, typer.Option("--priority", help="Of its updates.")] = Priority.NORMAL,
    destination: Annotated[str | None, typer.Option("--destination", help="Prefix of its objects.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="name=value, repeatable.")] = None,
    webhook: Annotated[str | None, typer.Option("--webhook", help="URL that is told of events.")] = None,
    feature: Feature = None,
    owner: Annotated[str, typer.Option("--owner", help="Whose it is.")] = "local",
    wait: Wait = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Subscribe to an area. A running `imagery serve` takes it up at once."""
    from imagery.service.subscriptions import NewSubscription

    new = NewSubscription(
        aoi=read_aoi(file, feature=only_feature(feature)),
        provider=provider,
        collection=collection,
        assets=parse_list(assets),
        start_at=parse_start(start),
        end_at=parse_end(end),
        filters=Filters(max_cloud_cover=max_cloud_cover, min_clear_fraction=min_clear, min_coverage=min_coverage),
        processing=Processing(
            mask=mask,
            harmonise=harmonise,
            all_touched=all_touched,
            buffer_m=buffer,
            indices=parse_indices(index),
            resolution_m=resolution,
            resampling=resampling,
            single_file=single_file,
        ),
        priority=priority,
        destination=destination,
        labels=parse_labels(label),
        webhook_url=webhook,
    )
    with open_house(data_dir, make=True) as imagery:
        created = imagery.subscriptions.create(Caller(owner=owner), new)
        for remark in created.remarks:
            typer.echo(f"note: {remark}", err=True)
        progress = _wait(imagery, created.subscription) if wait else None
    printer = Printer(as_json=as_json)
    outcomes = {"outcomes": dict(progress.counts)} if progress else {}
    printer.document(
        {**as_document(created.subscription, with_secret=True), "remarks": list(created.remarks), **outcomes}
    )
    printer.pairs(facts(created.subscription))
    if created.subscription.webhook is not None:
        printer.pairs({"secret": f"{created.subscription.webhook.secret}  (shown this once)"})
    _answer(progress, created.subscription, as_json=as_json)


def _wait(imagery: Imagery, subscription: Subscription) -> Progress:
    from imagery.cli.progress import progress_display
    from imagery.serving.following import follow, look_at

    progress = look_at(imagery, subscription)
    with _somebody_works(imagery), progress_display() as display:
        for progress in follow(imagery, subscription):
            display.show(progress)
    return progress


@contextmanager
def _somebody_works(imagery: Imagery) -> Iterator[None]:
    """A service on this data directory, or, where there is none, this process."""
    from imagery.worker import Worker

    worker = Worker(imagery=imagery)
    try:
        worker.start()
    except AlreadyRunning:
        yield
        return
    typer.echo("no `imagery serve` works on this data directory: doing the work here", err=True)
    try:
        yield
    finally:
        worker.stop()


def _answer(progress: Progress | None, subscription: Subscription, *, as_json: bool) -> None:
    """Exit code 1 when the provider could not even be searched, or something failed for good."""
    if progress is None:
        return
    failed = progress.counts[OutcomeStatus.FAILED]
    if progress.trouble:
        report("FirstLookFailed", f"the first look at the provider failed: {progress.trouble}", as_json=as_json)
    elif failed:
        report("AcquisitionsFailed", f"{failed} acquisitions failed; see `imagery failures list`", as_json=as_json)
    if progress.trouble or failed:
        raise typer.Exit(1)
    typer.echo(f"done; see `imagery subscriptions ledger {subscription.id}`", err=True)
