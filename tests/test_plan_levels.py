"""What a plan derives of its grids, and how its other levels are called on a map."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import pytest
import shapely
from matplotlib import pyplot as plt

import gridpart as gp
from gridpart.codes import load_scheme
from gridpart.plan import main_parent
from gridpart.plots import sheet
from gridpart.plots.grids import plot_grids, plot_sizes
from gridpart.rules import Rules

CRS = "EPSG:4547"
WEST, EAST = "420583001001", "420583001002"


def row_of_units(n: int = 12, households: int = 100) -> gpd.GeoDataFrame:
    """Units in a row, half of them in either community."""
    return gpd.GeoDataFrame(
        {
            "unit": [f"U{i:02d}" for i in range(n)],
            "households": households,
            "community": [WEST if i < n // 2 else EAST for i in range(n)],
        },
        geometry=[shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(n)],
        crs=CRS,
    )


def planned(**options: object) -> gp.Plan:
    units = row_of_units()
    given = {"id": "unit", "within": "community", "low": 200, "high": 400, "target": 300}
    return gp.assign_codes(gp.partition(units, **(given | options)), parent="community")


# ---------------------------------------------------------------- across a border


def within_of(plan: gp.Plan) -> dict[str, str]:
    return dict(zip(plan.grids["grid"], plan.grids["within"], strict=True))


def test_a_forced_grid_has_the_community_of_most_of_its_households():
    plan = planned()
    # its first unit is in the west, more than half of its households in the east
    edit = gp.move(plan, "U05", f"{EAST}-001", force=True)
    assert within_of(edit.plan)[f"{EAST}-001"] == EAST
    assert within_of(edit.plan.replace()) == within_of(edit.plan)  # derived anew
    listed = edit.plan.exceptions.set_index("grid")["within"]
    assert listed[f"{EAST}-001"] == EAST
    findings = gp.audit(edit.plan.grids, code="grid_code", parent="within")
    assert "code_wrong_parent" not in set(findings["check"])
    # a merged grid is named and placed alike
    merged = gp.merge(plan, [f"{WEST}-002", f"{EAST}-001"], force=True).plan
    ((name, within),) = set(within_of(merged).items()) - set(within_of(plan).items())
    assert name.startswith(f"{within}-")


def test_ties_go_by_ground_then_by_name():
    rules = Rules(id="unit", within="community")
    units = row_of_units(2)
    assert main_parent(units, rules) == WEST
    wider = units.set_geometry([units.geometry.iloc[0], shapely.box(100, 0, 300, 100)], crs=CRS)
    assert main_parent(wider, rules) == EAST
    assert main_parent(wider.assign(households=[101, 100]), rules) == WEST
    assert main_parent(wider.iloc[::-1], rules) == EAST
    assert main_parent(units, Rules(id="unit")) is None


def test_community_borders_are_those_of_the_units():
    plan = planned()
    forced = gp.move(plan, "U05", f"{EAST}-001", force=True).plan
    for made in (plan, forced):
        shapes = made.communities
        assert shapes is not None
        assert shapes.index.tolist() == [WEST, EAST]
        assert shapes.area.tolist() == [60_000, 60_000]
    ax = plot_grids(forced, label=None, legend=False, scale_bar=False)
    (border,) = [c for c in ax.collections if c.get_zorder() == 3]
    drawn = shapely.union_all([shapely.LineString(path.vertices) for path in border.get_paths()])
    assert drawn.equals(shapely.union_all(forced.communities.boundary))
    plt.close("all")


# ---------------------------------------------------------------- check characters


def test_check_characters_stand_beside_the_codes(tmp_path):
    scheme = replace(load_scheme("unit-grid"), check_character="mod-11-2")
    plan = planned()
    assert "grid_check" not in plan.grids.columns
    coded = gp.assign_codes(plan, parent="community", scheme=scheme)
    again = coded.replace()
    for made in (coded, again, gp.split(coded, f"{WEST}-001", force=True).plan):
        columns = made.grids.columns.tolist()
        assert columns[columns.index("grid_code") + 1] == "grid_check"
        marks = scheme.check_characters(made.grids["grid_code"])
        assert made.grids["grid_check"].tolist() == marks.tolist()
    coded.save(tmp_path / "plan.gpkg")
    stored = gpd.read_file(tmp_path / "plan.gpkg", layer="grids")
    assert stored["grid_check"].tolist() == coded.grids["grid_check"].tolist()
    assert gp.read_plan(tmp_path / "plan.gpkg").grids["grid_check"].notna().all()


def test_check_characters_of_the_grids_are_not_those_of_another_level(levelled):
    scheme = replace(load_scheme("micro-grid"), check_character="mod-11-2")
    coded = gp.assign_codes(levelled, parent="community", scheme=scheme)
    assert coded.grids["grid_check"].notna().all()
    micro = coded.at_level("micro")
    assert "grid_check" not in micro.grids.columns
    assert micro.grids["grid_code"].str.len().eq(17).all()


# ---------------------------------------------------------------- other levels on a map


@pytest.fixture(scope="module")
def levelled() -> gp.Plan:
    units = row_of_units(24, 20)
    plan = gp.partition(
        units, id="unit", within="community", low=100, high=140, target=120,
        levels={"micro": (30, 60), "quarter": (200, 300)},
    )  # fmt: skip
    return gp.assign_codes(plan, parent="community", scheme="micro-grid")


def written(ax) -> set[str]:
    return {text.get_text() for text in ax.texts}


def test_levels_are_called_by_their_names(levelled):
    micro, quarter = levelled.at_level("micro"), levelled.at_level("quarter")
    assert (levelled.level, levelled.parent_level) == ("grid", "quarter")
    assert (micro.level, micro.parent_level) == ("micro", "grid")
    assert (quarter.level, quarter.parent_level) == ("quarter", "community")


@pytest.mark.parametrize(
    ("level", "heading", "title", "border"),
    [
        (None, "Households per grid", "Service grids", "quarter area border"),
        ("micro", "Households per micro-grid", "Micro-grids", "grid border"),
        ("quarter", "Households per quarter area", "Quarter areas", "community border"),
    ],
)
def test_the_legend_names_the_level(levelled, level, heading, title, border):
    plan = levelled if level is None else levelled.at_level(level)
    figure = sheet.draw_sheet(plan)
    panel = figure.axes[1]
    legend = panel.get_legend()
    assert legend.get_title().get_text() == heading
    assert figure.texts[0].get_text() == title
    assert border in [text.get_text() for text in legend.get_texts()]
    told = panel.texts[0].get_text()
    assert told.startswith(f"{len(plan.grids)} {heading.removeprefix('Households per ')}s, ")
    ax = plot_sizes(plan)
    assert ax.get_xlabel() == heading
    plt.close("all")


def test_micro_grids_are_labelled_by_their_serial_in_the_grid(levelled):
    figure = plt.figure(figsize=(40, 4))
    ax = plot_grids(levelled.at_level("micro"), ax=figure.add_subplot())
    assert {"01", "02", "03"} <= written(ax)
    assert {"001", "002"} <= written(ax)  # the grids
    assert not {"101", "102", "201"} & written(ax)
    plt.close("all")


@pytest.mark.parametrize(
    ("within", "count"),
    [(f"{WEST}-001-001", 3), (f"{WEST}001", 3), (f"{WEST}-001", 6), (WEST, 6)],
    ids=["grid", "code", "quarter", "community"],
)
def test_a_level_is_drawn_for_a_grid_or_a_community(levelled, within, count):
    micro = levelled.at_level("micro")
    names = set(micro.units.loc[micro.units["community"] == WEST, "grid"])
    figure = sheet.draw_sheet(micro, within=within)
    told = figure.axes[1].texts[0].get_text()
    assert len(names) == 6
    assert told.startswith(f"{count} micro-grids, ")
    assert figure.texts[0].get_text() == f"{within}: Micro-grids"


def test_the_refusal_says_what_could_be_meant(levelled):
    micro = levelled.at_level("micro")
    with pytest.raises(gp.InputError) as caught:
        sheet.draw_sheet(micro, within="420583001008")
    text = str(caught.value)
    assert "is no grid and no quarter area and no community of the plan" in text
    assert f"the community '{WEST}'" in text or f"the community '{EAST}'" in text
    with pytest.raises(gp.InputError, match=r"there are grid .*; community 4205"):
        sheet.draw_sheet(micro, within="zzz")


def test_the_map_of_changes_names_the_level(levelled):
    grid = levelled.grids["grid"].iloc[0]
    units = levelled.units.loc[levelled.units["grid"] == grid, "unit"].tolist()
    split = gp.split(levelled, grid, groups=[units[:3]], force=True).plan
    changes = gp.change_table(levelled.at_level("micro"), split.at_level("micro"))
    assert repr(changes).startswith("<Changes: 12 areas of the level micro before, 13 after")
    figure = plt.figure(figsize=(40, 4))
    ax = gp.plot_changes(changes, ax=figure.add_subplot(), zoom=False)
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "micro-grid line that stays" in words
    assert "grid border" in words
    assert not any(text.startswith("grid line") for text in words)
    assert {"01", "02"} <= written(ax)
    assert {"002", "003"} <= written(ax)
    plt.close("all")
