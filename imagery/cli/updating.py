"""`imagery subscriptions update`: changes what of a subscription can be changed, as a PATCH does over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imagery.cli.house import OPERATOR, open_house
from imagery.cli.options import AsJson, DataDir, parse_end, parse_labels, parse_list
from imagery.cli.printing import Printer
from imagery.cli.processing import Indices, MaxCloudCover, MinClear, MinCoverage, Resolution, parse_indices
from imagery.cli.subscriptions import Id, as_document, facts
from imagery.model.processing import Processing, Resampling
from imagery.model.subscription import Filters, Priority, Subscription

if TYPE_CHECKING:
    from imagery.wiring import Imagery


class Resettable(StrEnum):
    """What can go back to its default, named as over HTTP."""

    END_AT = "end_at"
    ASSETS = "assets"
    LABELS = "labels"
    WEBHOOK = "webhook"
    FILTERS = "filters"
    MAX_CLOUD_COVER = "max_cloud_cover"
    MIN_CLEAR_FRACTION = "min_clear_fraction"
    MIN_COVERAGE = "min_coverage"
    PROCESSING = "processing"
    INDICES = "indices"
    RESOLUTION_M = "resolution_m"


_Switch = bool | None


def update(
    subscription_id: Id,
    *,
    end: Annotated[str | None, typer.Option("--end", help="Last acquisition: date or instant.")] = None,
    assets: Annotated[str | None, typer.Option("--assets", help="Asset keys instead of those so far.")] = None,
    max_cloud_cover: MaxCloudCover = None,
    min_clear: MinClear = None,
    min_coverage: MinCoverage = None,
    mask: Annotated[_Switch, typer.Option("--mask/--no-mask", help="Make what is not clear nodata?")] = None,
    harmonise: Annotated[_Switch, typer.Option("--harmonise/--no-harmonise", help="Take the offset off?")] = None,
    all_touched: Annotated[
        _Switch, typer.Option("--all-touched/--no-all-touched", help="Every pixel the area touches?")
    ] = None,
    single_file: Annotated[_Switch, typer.Option("--single-file/--no-single-file", help="Bands as one file?")] = None,
    buffer: Annotated[
        float | None, typer.Option("--buffer", min=-1000, max=1000, help="Grow the area, metres; 0: as it is.")
    ] = None,
    index: Indices = None,
    resolution: Resolution = None,
    resampling: Annotated[Resampling | None, typer.Option("--resampling", help="Kernel onto that grid.")] = None,
    priority: Annotated[Priority | None, typer.Option("--priority", help="Of its updates.")] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="name=value, beside those there are.")] = None,
    webhook: Annotated[str | None, typer.Option("--webhook", help="URL that is told of events.")] = None,
    reset: Annotated[list[Resettable] | None, typer.Option("--reset", help="Back to the default; repeatable.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Change what is named, and leave the rest; it holds from the next delivery on, and what was delivered stays.

    A later end, or none (--reset end_at), looks back over the whole time once; looser filters judge anew what was
    skipped by filters. --index replaces all indices. Pausing has commands of its own: pause and resume.
    """
    filters = {"max_cloud_cover": max_cloud_cover, "min_clear_fraction": min_clear, "min_coverage": min_coverage}
    processing = {
        "mask": mask,
        "harmonise": harmonise,
        "all_touched": all_touched,
        "single_file": single_file,
        "buffer_m": buffer,
        "indices": parse_indices(index) if index else None,
        "resolution_m": resolution,
        "resampling": resampling,
    }
    others = {
        "end_at": parse_end(end),
        "assets": parse_list(assets) if assets is not None else None,
        "labels": parse_labels(label) if label else None,
        "priority": priority,
        "webhook": webhook,
    }
    wishes = _Wishes(_said(filters), _said(processing), _said(others), reset or [])
    with open_house(data_dir) as imagery:
        before, after = wishes.carry_out(imagery, subscription_id)
    _answer(before, after, as_json=as_json)


class _Wishes:
    """What was named on the command line, to be laid over a subscription."""

    def __init__(
        self,
        filters: Mapping[str, Any],
        processing: Mapping[str, Any],
        others: Mapping[str, Any],
        reset: list[Resettable],
    ) -> None:
        self._filters, self._processing, self._others, self._reset = filters, processing, others, reset
        for name in reset:
            if name in {**filters, **processing, **others}:
                raise typer.BadParameter(f"{name} is given, and reset; leave one out", param_hint="--reset")
        if not (filters or processing or others or reset):
            raise typer.BadParameter("name something to change; --help tells what there is")

    def carry_out(self, imagery: Imagery, subscription_id: str) -> tuple[Subscription, Subscription]:
        """The subscription before and after."""
        service = imagery.subscriptions
        before = service.get(OPERATOR, subscription_id)
        changes = self._changes_of(before)
        return before, service.change(OPERATOR, subscription_id, changes, expected_version=before.version)

    def _changes_of(self, present: Subscription) -> dict[str, Any]:
        reset = set(self._reset)
        changes = dict(self._others)
        if "labels" in changes:
            changes["labels"] = {**present.labels, **changes["labels"]}
        empty: dict[str, Any] = {"end_at": None, "assets": (), "labels": {}, "webhook": None}
        changes |= {name: value for name, value in empty.items() if name in reset}
        filters = _laid_over(present.filters, self._filters, reset, whole=Resettable.FILTERS)
        if filters != present.filters:
            changes["filters"] = filters
        processing = _laid_over(present.processing, self._processing, reset, whole=Resettable.PROCESSING)
        if processing != present.processing:
            changes["processing"] = processing
        return changes


def _laid_over(present: Any, said: Mapping[str, Any], reset: set[Resettable], *, whole: Resettable) -> Any:
    default: Filters | Processing = type(present)()
    known = type(present).__dataclass_fields__
    base = default if whole in reset else present
    back = {str(name): getattr(default, name) for name in reset if name in known}
    return replace(base, **{**back, **said})


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _answer(before: Subscription, after: Subscription, *, as_json: bool) -> None:
    told = after.webhook
    is_new = told is not None and (before.webhook is None or before.webhook.secret != told.secret)
    printer = Printer(as_json=as_json)
    printer.document(as_document(after, with_secret=is_new))
    printer.pairs(facts(after))
    if told is not None and is_new:
        printer.pairs({"secret": f"{told.secret}  (shown this once)"})
