"""What an item says of an index whose numbers do not all fit."""

from __future__ import annotations

import numpy as np

from imagery.items.assets import published_asset
from imagery.raster.formula import parse_formula
from imagery.raster.index import compute
from imagery.workflow.described import described_index
from tests.unit.raster.made_clips import clip_of


def test_the_item_counts_the_pixels_that_do_not_fit_as_the_file_does() -> None:
    red = clip_of(np.array([[1000, 9000]], np.uint16), scales=(0.0001,))
    index = compute(parse_formula("red * 5"), {"red": (red, 1)}, {"red": None})

    asset = published_asset(described_index("wide", index, formula="red * 5"), {}, sentinel_2=True)

    assert index.data[0].tolist() == [[5000, -32768]]
    assert asset["description"] == "red * 5; 1 pixels beyond ±3.2767 are nodata: scale the formula"
