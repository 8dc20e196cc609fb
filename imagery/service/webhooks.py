"""A subscription's webhook: where it may lead, and its secret, which is made here and shown once."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta

from imagery.errors import StatusConflict
from imagery.model.subscription import Webhook
from imagery.ports import Clock, Notifier

SECRET_BYTES = 32
CHANGE_OVER = timedelta(hours=24)
"""How long deliveries are signed with the earlier secret too, after a rotation."""


@dataclass(frozen=True, kw_only=True)
class Webhooks:
    """Makes and changes webhooks; saves nothing."""

    notifier: Notifier
    clock: Clock

    def new(self, url: str) -> Webhook:
        """With a secret of its own. Raises AddressRefused."""
        self.notifier.check(url)
        return Webhook(url=url, secret=_new_secret())

    def changed(self, present: Webhook | None, url: str | None) -> Webhook | None:
        """What setting this URL makes of it; None: there shall be none.

        Another URL is another receiver, so it gets another secret; the same one, set again, is enabled and keeps its
        secret. Raises AddressRefused.
        """
        if url is None:
            return None
        if present is None or present.url != url:
            return self.new(url)
        self.notifier.check(url)
        return replace(present, disabled_at=None)

    def rotated(self, present: Webhook | None) -> Webhook:
        """The same with a new secret; the old one counts for a day yet. Raises StatusConflict when there is none."""
        if present is None:
            raise StatusConflict("the subscription has no webhook; set one with PATCH")
        return present.rotated(_new_secret(), earlier_until=self.clock() + CHANGE_OVER)


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
