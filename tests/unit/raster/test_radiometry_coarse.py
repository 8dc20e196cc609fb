"""Where the coarse look for an offset is taken, for any size of raster, block and place."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagery.raster.radiometry.coarse import LARGEST_BLOCK, SIDE, span


@settings(max_examples=1000)
@given(length=st.integers(1, 30_000), block=st.integers(1, 30_000), where=st.floats(0, 1))
def test_the_span_holds_the_place_and_lies_on_the_raster(length: int, block: int, where: float) -> None:
    middle = where * (length - 1)
    offset, size = span(middle, block, length)
    assert 0 <= offset <= middle < offset + size <= length
    assert size <= 1.5 * max(SIDE, LARGEST_BLOCK)


@example(length=700, block=512, where=690 / 699)
@given(length=st.integers(1, 30_000), block=st.sampled_from([128, 256, 512, 1024]), where=st.floats(0, 1))
def test_the_span_begins_on_the_border_of_a_block(length: int, block: int, where: float) -> None:
    middle = where * (length - 1)
    offset, size = span(middle, block, length)
    assert offset % block == 0
    assert offset <= middle < offset + size <= length
    assert size >= min(length, SIDE // 2)
