"""What one acquisition came to for one subscription: one item of ours, and those it has taken the place of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ProductStatus(StrEnum):
    """MAKING → CURRENT → SUPERSEDED → gone. Saved before the first object is written, so that nothing is forgotten."""

    MAKING = "making"
    CURRENT = "current"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """An item of ours, and what it was made of and in knowledge of."""

    subscription_id: str
    acquisition: str
    """Which acquisition it shows: the same for all tiles and all processings of one datatake."""

    item_id: str
    """Of our item."""

    collection_id: str
    """Of ours."""

    prefix: str
    """Of its objects."""

    sources: tuple[str, ...]
    """Source items whose pixels are in it, the one on top first."""

    known: dict[str, str] = field(default_factory=dict)
    """Every source item of the acquisition that was weighed: id → its `updated` (RFC 3339; empty: it does not say)."""

    numbers: dict[str, float] = field(default_factory=dict)
    """What was measured, as in the ledger."""

    digest: str = ""
    """SHA-256 over its assets: of the same sources and the same digest, two are one. Empty: not known."""

    recipe: str = ""
    """SHA-256 over what shapes its pixels besides them: the assets and the processing asked for. Empty: not known."""

    version: int = 1
    """Counts the states of the acquisition that were published."""

    status: ProductStatus = ProductStatus.MAKING
    successor: str | None = None
    """Item id of what took its place, when superseded."""

    expires_at: datetime | None = None
    """When a superseded one is removed."""

    updated_at: datetime

    def is_made_as(self, recipe: str) -> bool:
        """Whether it was made to this recipe, or may have been, where that is not known."""
        return not recipe or self.recipe in ("", recipe)

    def knows_all_of(self, other: Product) -> bool:
        """Whether it was made in knowledge of every state of every source that the other was."""
        return all(item_id in self.known and self.known[item_id] >= at for item_id, at in other.known.items())
