"""Edits and differences as the office meets them: what a refusal advises, help, printed sheets."""

from __future__ import annotations

import geopandas as gpd
import openpyxl
import pytest
import shapely

import gridpart as gp
from gridpart.cli import main
from gridpart.errors import InputError


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Six units in a row, in two grids."""
    cells = [shapely.box(100 * k, 0, 100 * k + 100, 100) for k in range(6)]
    units = gpd.GeoDataFrame(
        {"unit": list("abcdef"), "households": 100}, geometry=cells, crs="EPSG:4547"
    )
    path = tmp_path_factory.mktemp("edits") / "plan.gpkg"
    gp.partition(units, id="unit", low=200, high=400, n_grids=2).save(path)
    return path


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_refusal_names_what_the_caller_can_give(plan, capsys):
    advice = "nothing was changed; with {} it is done all the same"
    with pytest.raises(InputError) as caught:
        gp.move(gp.read_plan(plan), ["a", "b"], "G002")
    assert str(caught.value).splitlines()[-1] == advice.format("force=True")
    wrong = ("move", "--units", "a,b", "--to", "G002")
    for edits in (wrong, ("move", "--units", "c", "--to", "G002", *wrong)):
        code, _, error = run(capsys, "edit", plan, "--dry-run", *edits)
        assert code == 2
        assert error.splitlines()[-1] == advice.format("--force")
    assert error.startswith("gridpart: edit 2 of 2 was refused; nothing was written")
    code, _, _ = run(capsys, "edit", plan, "--dry-run", "--force", *wrong)
    assert code == 0, "the advice is good"
    code, _, error = run(capsys, "edit", plan, "--dry-run", "move", "--units", "z", "--to", "G002")
    assert code == 2
    assert "force" not in error, "that cannot be forced"


@pytest.mark.parametrize("before", [["plan.gpkg"], [], ["-o", "new.gpkg"]])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_of_an_edit_needs_no_plan(capsys, before, flag):
    code, said, _ = run(capsys, "edit", *before, "split", flag)
    assert code == 0
    assert "--part A,B" in said
    assert "gridpart edit PLAN split" in said
    assert "such as --force: gridpart edit --help" in said
    _, said, _ = run(capsys, "edit", *before, "split", "--grid", "G1", "swap", flag)
    assert "--with" in said, "that of the edit before it"
    _, said, _ = run(capsys, "edit", *before, flag)
    assert "Commands:" in said


def test_differences_are_printed_across(plan, tmp_path, capsys):
    new, book = tmp_path / "new.gpkg", tmp_path / "diff.xlsx"
    assert run(capsys, "edit", plan, "-o", new, "move", "--units", "c", "--to", "G002")[0] == 0
    assert run(capsys, "diff", plan, new, "--excel", book)[0] == 0
    sheets = openpyxl.load_workbook(book).worksheets
    assert [sheet.title for sheet in sheets] == ["summary", "grids", "units", "pairs"]
    for sheet in sheets:
        assert sheet.page_setup.orientation == "landscape"
        assert sheet.page_setup.paperSize == 9
        assert sheet.page_setup.fitToHeight == 0
        assert sheet.print_title_rows == "$1:$1"
