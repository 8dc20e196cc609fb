"""A question to a provider: what was acquired where and when, and published since?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from imagery.model.aoi import Aoi


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """Every field is sent to the provider and checked again on what comes back."""

    collection: str
    aoi: Aoi
    acquired_from: datetime
    acquired_to: datetime
    """Both ends included."""

    updated_since: datetime | None = None
    """Only items whose `updated` lies at or after this; None: all. An item without `updated` always passes."""

    assets: tuple[str, ...] = ()
    """Asset keys that all of them must have to be of use, for providers that can be asked so. Empty: not said."""
