"""Every notebook runs from top to bottom in an empty folder; an error in it is an error here."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from gridpart.plots import fonts

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
STRICT = """
import warnings
warnings.simplefilter("error", UserWarning)
warnings.simplefilter("error", FutureWarning)
"""
FONTLESS = """
warnings.filterwarnings("ignore", "no installed font|Glyph")
"""
# Of every notebook, what its outputs must say and the files that it must leave.
EXPECTED = {
    "a_plan_that_lives": (
        [
            "127 of 17,998 households moved (0.71%); at least 127 had to",
            "54 unchanged, 2 complex",
            "would have 572 households, 72 more than 500",
            "took back: split",
            "did again: split",
            "52 of 57 (200-500)",
            "0 faults",
        ],
        [],
    ),
    "plan_a_community": (
        [
            "51 of 56 (200-500)",
            "no_count_fits (proven)",
            "open a crossing between U00869 and U00870",
            "unit_above_band",
            "in order: True",
        ],
        ["town_plan.gpkg"],
    ),
    "staff_the_grids": (
        [
            "149 posts in 5 roles on 56 grids, 0 vacancies",
            "leader: 48 posts on 56 grids",
            "<Beats: 56 grids in 20 beats",
            "summary, hire, by_post",
        ],
        ["staff.xlsx"],
    ),
}


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
    strict = STRICT if fonts._candidates() else STRICT + FONTLESS
    notebook.cells.insert(0, nbformat.v4.new_code_cell(strict))
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return notebook


def test_every_notebook_is_expected():
    assert [path.stem for path in NOTEBOOKS] == sorted(EXPECTED)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside the kernel's client
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_says_what_it_should(path, tmp_path):
    texts, files = EXPECTED[path.stem]
    said = "\n".join(outputs(run(path, tmp_path)))
    assert [text for text in texts if text not in said] == []
    assert sorted(left.name for left in tmp_path.iterdir()) == files
