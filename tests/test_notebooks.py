"""Every notebook runs from top to bottom in an empty folder; an error in it is an error here."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
STRICT = """
import warnings
warnings.simplefilter("error", UserWarning)
warnings.simplefilter("error", FutureWarning)
"""


def outputs(notebook):
    """Text of all results and prints of a notebook, by cell."""
    found = []
    for cell in notebook.cells:
        parts = cell.get("outputs", [])
        texts = [
            part.get("text", "") or part.get("data", {}).get("text/plain", "") for part in parts
        ]
        found.append("\n".join(texts))
    return found


def run(path, folder):
    notebook = nbformat.read(path, as_version=4)
    # Warnings of the library, and missing glyphs, are errors in a notebook that teaches its use.
    notebook.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return notebook


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["plan_a_community.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside the kernel's client
def test_a_planner_plans_the_sample(tmp_path):
    notebook = run(NOTEBOOKS[0], tmp_path)
    text = "\n".join(outputs(notebook))
    assert "51 of 56 (200-500)" in text
    assert "no_count_fits (proven)" in text
    assert "in order: True" in text
    assert [path.name for path in tmp_path.iterdir()] == ["town_plan.gpkg"]
