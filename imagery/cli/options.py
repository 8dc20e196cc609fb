"""Options that many commands share, and what their texts mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

import typer

from imagery.model.codec import parse_instant

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the service keeps its state; IMAGERY_DATA_DIR, else ./imagery-data."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else, on stdout.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, of the order shown.")]


def parse_start(text: str | None) -> datetime | None:
    """A date means its first instant, UTC."""
    return _instant(text, time.min, "--start")


def parse_end(text: str | None) -> datetime | None:
    """A date means its last instant, UTC."""
    return _instant(text, time.max, "--end")


def parse_list(text: str | None) -> tuple[str, ...]:
    """`red, nir` → (`red`, `nir`)."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def only_feature(names: list[str] | None) -> str | None:
    """A subscription is of one area: several names are refused, and none passed over."""
    if names and len(names) > 1:
        raise typer.BadParameter("name one feature; each area is a subscription of its own", param_hint="--feature")
    return names[0] if names else None


def parse_labels(pairs: list[str] | None) -> dict[str, str]:
    """`["crop=maize"]` → `{"crop": "maize"}`."""
    labels: dict[str, str] = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"{pair!r} is no label; write it as name=value", param_hint="--label")
        labels[name] = value
    return labels


def _instant(text: str | None, of_day: time, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), of_day, UTC)
        return parse_instant(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{error}; write a date (2026-05-01) or an instant (2026-05-01T10:00:00Z)", param_hint=option
        ) from error
