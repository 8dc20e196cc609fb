"""What tells two creates with one idempotency key apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from imagery.model.codec import to_dict
from imagery.model.processing import Processing


def fingerprint_of(asked: Mapping[str, Any]) -> str:
    """SHA-256 of what was asked for, as JSON types; the same however its JSON was spaced or ordered.

    What a later version of this service has added counts only where it is used, so that keys used before still fit.
    """
    counted = dict(asked)
    default = to_dict(Processing())
    counted["processing"] = {name: value for name, value in asked["processing"].items() if value != default.get(name)}
    counted["filters"] = dict(asked["filters"])
    for place, name in ((counted, "webhook_url"), (counted, "processing"), (counted["filters"], "min_clear_fraction")):
        if not place[name] and place[name] != 0:
            del place[name]
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()
