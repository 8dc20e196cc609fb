"""Items that somebody has told us of: the same join as the feed's, so that whoever comes second asks for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pystac

from imagery.errors import ProviderAnswerInvalid
from imagery.model.request import RequestKind
from imagery.service.discovery import Asker
from imagery.service.joining import Joiner


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """Takes items as they stand at the provider."""

    joiner: Joiner
    asker: Asker

    def take(self, items: Sequence[pystac.Item], *, provider: str, now: datetime) -> int:
        """Ask for each on behalf of everybody it is for; gives for how many (item, subscription) pairs.

        Safe to repeat. Raises ProviderAnswerInvalid for an item that names no collection.
        """
        requested = 0
        for item in items:
            if item.collection_id is None:
                raise ProviderAnswerInvalid(f"item {item.id} of {provider} names no collection")
            match = self.joiner.match(item, provider=provider, collection=item.collection_id, now=now)
            requested += self.asker.ask(
                [match], provider=provider, collection=item.collection_id, kind=RequestKind.UPDATE, now=now
            )
        return requested
