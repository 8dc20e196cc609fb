"""Whatever is posted where providers push: an item's name comes out of it, or a refusal, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from imagery.errors import NotificationForged, NotificationInvalid
from imagery.providers.sns import parse_envelope, signed_text
from imagery.service.push import parse_hint
from tests.unit.providers.sns_messages import confirmation, item, notification

TEXT = st.text(alphabet=st.characters(), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def changed(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """The document, some of its fields replaced by anything."""
    changes = st.dictionaries(st.sampled_from(sorted(document)), VALUES, max_size=3)
    return changes.map(lambda some: json.dumps(document | some).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | changed(item(properties={"updated": "2026-05-01T10:00:00Z"})))
def test_an_item_or_a_refusal_comes_out_of_anything(body: bytes) -> None:
    try:
        hint = parse_hint(body)
    except NotificationInvalid:
        return
    assert hint.item_id.isprintable()
    assert hint.bbox is None or -90 <= hint.bbox[1] <= hint.bbox[3] <= 90
    assert hint.updated_at is None or hint.updated_at.tzinfo is not None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | changed(notification()) | changed(confirmation()))
def test_a_message_or_a_refusal_comes_out_of_anything(body: bytes) -> None:
    try:
        envelope = parse_envelope(body)
        signed_text(envelope)
    except (NotificationInvalid, NotificationForged):
        return
    assert envelope.host == "sns.us-west-2.amazonaws.com"
