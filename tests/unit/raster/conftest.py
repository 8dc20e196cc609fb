"""What every test of pixels may lean on."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """rasterio 1.4 multiplies transforms with `*`, which affine 3 advises against; not ours to mend."""
    advice = pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(advice)
