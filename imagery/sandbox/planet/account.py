"""One account at the local Planet: what it can see, what it ordered, how it is treated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imagery.ports import Clock
from imagery.sandbox.planet.behaviour import Behaviour, Manners
from imagery.sandbox.planet.book import Book
from imagery.sandbox.planet.catalogue import Catalogue
from imagery.sandbox.planet.faults import Faults
from imagery.sandbox.planet.links import Links


@dataclass(frozen=True, kw_only=True)
class Account:
    """Shared by the routes and by what makes orders. Any thread."""

    catalogue: Catalogue
    book: Book
    links: Links = field(repr=False)
    faults: Faults
    manners: Manners
    clock: Clock
    folder: Path
    """Where results lie: `<order id>/…`."""

    api_key: str | None = field(repr=False)
    """None: any key is taken."""

    @property
    def behaviour(self) -> Behaviour:
        """As it is now."""
        return self.manners.current
