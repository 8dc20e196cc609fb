"""The flag of the offset, as it is true of the files that were written."""

from __future__ import annotations

from typing import Any

import pytest

from imagery.items.cut import CutAsset
from imagery.items.offset import FLAG, with_true_flag


def cut(offset: float | None, *, scale: float = 0.0001, formula: str | None = None) -> CutAsset:
    return CutAsset(
        key="red",
        href="red.tif",
        body_size=1,
        sha256="",
        scale=None if offset is None else scale,
        offset=offset,
        formula=formula,
    )


@pytest.mark.parametrize("baseline", [{}, {"s2:processing_baseline": "05.11"}])
@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize(("offset", "true"), [(0.0, True), (-0.1, False)])
def test_it_is_that_of_the_files_with_a_baseline_and_without(
    baseline: dict[str, Any], said: bool, offset: float, true: bool
) -> None:
    assert with_true_flag({FLAG: said, **baseline}, [cut(offset)]) == {FLAG: true, **baseline}


def test_it_is_left_out_where_it_is_true_of_some_files_only() -> None:
    assert with_true_flag({FLAG: True, "gsd": 10}, [cut(0.0), cut(-0.1)]) == {"gsd": 10}


@pytest.mark.parametrize(
    ("kept", "assets"),
    [
        ({}, [cut(0.0)]),
        ({FLAG: False}, [cut(None)]),
        ({FLAG: False}, [cut(0.0, formula="nir - red")]),
        ({FLAG: False}, [cut(-0.1, scale=0.001)]),
        ({FLAG: False, "s2:processing_baseline": "02.14"}, [cut(0.0)]),
    ],
)
def test_it_stays_as_it_was_where_the_files_do_not_tell(kept: dict[str, Any], assets: list[CutAsset]) -> None:
    assert with_true_flag(kept, assets) == kept
