"""What the demo subscribes to: the same as ever, and what was asked for besides."""

from __future__ import annotations

from pathlib import Path

from imagery.demo.wishes import Wishes, idempotency_key, subscription_body
from imagery.model.processing import Index, Processing
from imagery.model.subscription import Filters
from imagery.sandbox.scenes import Scene, Scenes

SQUARE = {
    "type": "Polygon",
    "coordinates": [[[15.4, 46.1], [15.41, 46.1], [15.41, 46.11], [15.4, 46.11], [15.4, 46.1]]],
}
ITEM = {"id": "S2", "collection": "sentinel-2-l2a", "properties": {"datetime": "2026-05-01T10:00:00Z"}, "assets": {}}
SCENES = Scenes(scenes=(Scene(item=ITEM, files={"red": Path("red.tif")}),), aoi=SQUARE)


def test_a_demo_without_options_names_none_of_them() -> None:
    body = subscription_body(Wishes(state_dir=Path("state"), aoi=SQUARE), SCENES)

    assert body["filters"] == {"max_cloud_cover": None, "min_coverage": None}
    assert "processing" not in body


def test_options_are_asked_for_and_make_another_subscription() -> None:
    ratio = Index(name="ratio", formula="nir / red")
    plain = Wishes(state_dir=Path("state"), aoi=SQUARE)
    wishes = Wishes(
        state_dir=Path("state"),
        aoi=SQUARE,
        filters=Filters(min_clear_fraction=0.7),
        processing=Processing(mask=True, indices=(ratio,), resolution_m=10.0),
    )

    body = subscription_body(wishes, SCENES)

    assert body["filters"]["min_clear_fraction"] == 0.7
    assert body["processing"]["mask"] is True
    assert body["processing"]["indices"] == [{"name": "ratio", "formula": "nir / red"}]
    assert idempotency_key(wishes, body) != idempotency_key(plain, subscription_body(plain, SCENES))
