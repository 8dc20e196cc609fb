"""The notebooks run from top to bottom against a service with a sandbox provider, and show what they promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imagery.demo import Wishes, open_demo

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

# In a process of its own: the client brings an event loop and warnings that are not ours.
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": sys.argv[2]}}).execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.get("text", "image/png" if "image/png" in output.get("data", {}) else ""))
"""


@pytest.mark.slow
def test_an_analyst_subscribes_waits_queries_and_plots(tmp_path: Path) -> None:
    with open_demo(Wishes(state_dir=tmp_path / "demo", port=0)) as demo:
        key = (tmp_path / "demo" / "api-key").read_text().strip()
        run = subprocess.run(
            [sys.executable, "-c", EXECUTE, str(NOTEBOOKS / "01-subscribe-and-query.ipynb"), str(tmp_path)],
            env={**os.environ, "IMAGERY_URL": demo.api_url, "IMAGERY_API_KEY": key, "MPLBACKEND": "inline"},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    assert run.returncode == 0, run.stderr[-3000:]
    assert "4 items from" in run.stdout  # six dates, two of them all cloud over the field
    assert run.stdout.count("  NDVI 0.") >= 4
    assert "image/png" in run.stdout
