"""Maps and charts: what is drawn, where labels go, and that nothing else is touched."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from matplotlib import pyplot as plt

import gridpart as gp
from gridpart.plots import fonts, sheet
from gridpart.plots.cartography import LABEL_SIZES, place_labels, round_length, wrapped
from gridpart.plots.classes import band_classes, bar_width, bars, class_of, plain_classes
from gridpart.plots.fonts import Lettering, font_for, is_outline_cff
from gridpart.plots.grids import grid_legend, plot_grids, plot_sizes


@dataclass(frozen=True)
class Rules:
    low: int = 200
    high: int = 500


@dataclass(frozen=True)
class Drawn:
    """As much of a plan as a map needs."""

    grids: gpd.GeoDataFrame
    rules: Rules = Rules()


@pytest.fixture
def grids():
    """Four by three grids of 300 m in two communities; one exclusive, one below, one above."""
    across, up = np.meshgrid(np.arange(4) * 300.0, np.arange(3) * 300.0)
    shapes = shapely.box(across, up, across + 300, up + 300).ravel()
    households = [120, 250, 300, 350, 400, 450, 500, 501, 200, 299, 12, 333]
    frame = gpd.GeoDataFrame(
        {
            "grid": [f"g{i}" for i in range(12)],
            "grid_code": [f"420583001001{i + 1:03d}" for i in range(12)],
            "within": ["德洪"] * 6 + ["Neucheng"] * 6,
            "kind": ["base"] * 10 + ["exclusive", "base"],
            "households": households,
            "in_band": [200 <= count <= 500 for count in households],
        },
        geometry=shapes,
        crs="EPSG:4547",
        index=[f"row {i}" for i in range(12)],
    )
    return frame.rename_geometry("shape")


@pytest.fixture
def plan(grids):
    return Drawn(grids)


def written(ax):
    return {text.get_text() for text in ax.texts}


def entries(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


needs_cjk = pytest.mark.skipif(
    not fonts._candidates(), reason="no Chinese font is installed (Debian: fonts-wqy-microhei)"
)


@needs_cjk
def test_map_leaves_input_and_settings_alone(plan):
    before, settings = plan.grids.copy(), dict(mpl.rcParams)
    figures = plt.get_fignums()
    figure, given = plt.subplots()
    ax = plot_grids(plan, ax=given)
    assert ax is given
    figure.canvas.draw()
    assert dict(mpl.rcParams) == settings
    assert plt.get_fignums() == [*figures, figure.number]
    assert_geodataframe_equal(plan.grids, before)


@needs_cjk
def test_legend_counts_every_grid_once(plan):
    labels = entries(plot_grids(plan))
    assert labels == [
        "below 200  (1)",
        "200–299  (3)",
        "300–399  (3)",
        "400–500  (3)",
        "above 500  (1)",
        "exclusive grid  (1)",
        "outside the band  (2)",
        "community border",
    ]


@needs_cjk
def test_colours_tell_the_class(plan):
    ax = plot_grids(plan, label=None, communities=False)
    drawn = [c for c in ax.collections if len(c.get_facecolor()) == 11]
    colors = [mpl.colors.to_hex(color) for color in drawn[0].get_facecolor()]
    parts = band_classes(200, 500, cmap="YlGn")
    base = plan.grids[plan.grids["kind"] == "base"]
    expected = [parts[i].color for i in class_of(base["households"], parts)]
    assert colors == expected
    assert colors[0] == parts[0].color
    assert colors[7] == parts[-1].color
    hatched = [c for c in ax.collections if c.get_hatch()]
    assert [len(c.get_paths()) for c in hatched] == [1]


@needs_cjk
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("auto", "001"),
        ("serial", "001"),
        ("code", "420583001001001"),
        ("grid", "g0"),
        ("households", "120"),
    ],
)
def test_labels(plan, label, expected):
    figure = plt.figure(figsize=(16, 14))
    ax = plot_grids(plan, ax=figure.add_subplot(), label=label)
    assert expected in written(ax)
    assert {"德洪", "Neucheng"} <= written(ax)


def test_uncoded_plan_is_labelled_by_id(grids):
    bare = grids.drop(columns=["grid_code", "within", "kind", "in_band"])
    ax = plot_grids(bare, low=200, high=500)
    assert {"g0", "g11"} <= written(ax)
    assert entries(ax)[-1] == "outside the band  (3)"


def test_short_ids_leave_out_the_community(grids):
    ids = [f"{within}-{i:03d}" for i, within in enumerate(grids["within"])]
    bare = grids.drop(columns="grid_code").assign(grid=ids)
    shown = written(plot_grids(bare[bare["within"] == "Neucheng"], low=200, high=500))
    assert {"006", "011"} <= shown
    assert not any(text.startswith("Neucheng-") for text in shown)


def test_labels_without_room_are_left_out_and_said(grids):
    grids["within"] = "one"
    tiny = plt.figure(figsize=(1.2, 1.2)).add_subplot()
    ax = plot_grids(Drawn(grids), ax=tiny, label="code", legend=False)
    assert "12 of 12 labels left out for want of room" in written(ax)
    assert not any(text.startswith("420583") for text in written(ax))


def boxes_on_paper(ax, texts):
    ax.figure.canvas.draw()
    found = [text.get_window_extent() for text in ax.texts if text.get_text() in texts]
    # the extent of a line has room for letters that hang down; figures have none
    return [box.expanded(1.0, 0.75) for box in found]


def test_community_names_keep_off_labels_and_off_each_other(grids):
    names = {"Neucheng Garden Community": "n", "Old Harbour Quarter North": "o"}
    grids["within"] = [list(names)[i // 6] for i in range(12)]
    ax = plot_grids(Drawn(grids), ax=plt.figure(figsize=(2.6, 2.4)).add_subplot(), legend=False)
    shown = {" ".join(text.split()): text for text in written(ax)}
    assert set(names) <= set(shown)
    assert any("\n" in text for text in shown.values())
    labels = {f"{i:03d}" for i in range(1, 13)} & set(shown)
    drawn = boxes_on_paper(ax, {shown[name] for name in names})
    others = boxes_on_paper(ax, labels)
    assert len(drawn) == 2
    assert len(others) > 6
    assert not drawn[0].overlaps(drawn[1])
    assert not any(name.overlaps(label) for name in drawn for label in others)


def test_community_names_without_room_are_counted(grids):
    grids["within"] = ["AverylongnameofaplaceA"] * 11 + ["AverylongnameofaplaceB"]
    tiny = plt.figure(figsize=(1.0, 1.0)).add_subplot()
    notes = written(plot_grids(Drawn(grids), ax=tiny, label=None, legend=False))
    assert "2 of 2 community names left out for want of room" in notes


def test_names_are_wrapped_evenly():
    assert wrapped("东湖") == ["东湖"]
    assert wrapped("东湖社区")[1:] == ["东湖\n社区"]
    assert wrapped("429999001003") == ["429999001003"]
    assert wrapped("a bb cc d")[1] == "a bb\ncc d"
    assert wrapped("东湖花园社区居")[2].count("\n") == 2
    assert all("".join(form.split()) == "东湖花园社区居" for form in wrapped("东湖花园社区居"))


def test_every_label_lies_in_its_grid():
    rng = np.random.default_rng(3)
    cells = shapely.get_parts(
        shapely.voronoi_polygons(
            shapely.MultiPoint(rng.random((60, 2)) * 1000), extend_to=shapely.box(0, 0, 1000, 1000)
        )
    )
    texts = [f"{i:03d}" for i in range(len(cells))]
    points, sizes = place_labels(cells, texts, points_per_unit=0.15)
    shown = sizes > 0
    assert 20 < shown.sum() < len(cells)
    assert set(sizes[shown]) <= set(LABEL_SIZES)
    assert shapely.contains(cells[shown], shapely.points(points[shown])).all()
    assert np.isnan(points[~shown]).all()
    shrunk = place_labels(cells, texts, points_per_unit=0.05)[1]
    assert (shrunk <= sizes).all()


def test_label_of_a_ring_stays_off_its_hole():
    ring = np.array([shapely.Point(0, 0).buffer(500).difference(shapely.Point(0, 0).buffer(300))])
    points, sizes = place_labels(ring, ["001"], points_per_unit=0.5)
    assert sizes[0] > 0
    assert shapely.contains(ring[0], shapely.Point(points[0]))


def test_scale_bar_is_round_and_true(plan, grids):
    grids["within"] = "one"
    ax = plot_grids(Drawn(grids), legend=False)
    assert "200 m" in written(ax)
    halves = [patch for patch in ax.patches if isinstance(patch, mpl.patches.Rectangle)]
    left, right = ax.get_xlim()
    assert [half.get_width() * (right - left) for half in halves] == pytest.approx([100, 100])
    assert ax.get_aspect() == 1.0
    assert "N" in written(ax)


def test_scale_bar_in_feet_measures_metres(grids):
    shapes = shapely.box(np.arange(12) * 1000.0, 0, np.arange(12) * 1000.0 + 1000, 4000)
    feet = gpd.GeoDataFrame(
        {"grid": grids["grid"], "households": grids["households"]}, geometry=shapes, crs="EPSG:2263"
    )
    ax = plot_grids(feet, low=200, high=500, legend=False)
    half = next(patch for patch in ax.patches if isinstance(patch, mpl.patches.Rectangle))
    left, right = ax.get_xlim()
    metres = 2 * half.get_width() * (right - left) * 0.3048006096
    assert metres == pytest.approx(500)
    assert "500 m" in written(ax)


@pytest.mark.parametrize("longest", [0.3, 1.0, 7.7, 99.9, 100.0, 2600.0, 5e5])
def test_round_length(longest):
    length = round_length(longest)
    assert longest / 2.5 < length <= longest
    assert f"{length:e}"[0] in "125"


def test_degrees_are_projected_and_said(grids):
    grids["within"] = "one"
    with pytest.warns(gp.GridpartWarning, match="degrees.*are drawn in.*UTM"):
        ax = plot_grids(Drawn(grids.to_crs("EPSG:4490")), legend=False)
    left, right = ax.get_xlim()
    assert 1200 < right - left < 1300


def test_refusals(grids, plan):
    with pytest.raises(gp.CRSError, match=r"no CRS.*set_crs"):
        plot_grids(Drawn(grids.set_crs(None, allow_override=True)))
    with pytest.raises(gp.InputError, match="no column 'people'; they have: grid"):
        plot_grids(plan, column="people")
    with pytest.raises(gp.InputError, match="holds no numbers"):
        plot_grids(plan, column="kind")
    with pytest.raises(gp.InputError, match="label='name': choose one of auto"):
        plot_grids(plan, label="name")
    with pytest.raises(gp.InputError, match="needs a plan with codes"):
        plot_grids(grids.drop(columns="grid_code"), label="code")
    with pytest.raises(gp.InputError, match="no grid to draw"):
        plot_grids(grids.iloc[:0])
    with pytest.raises(gp.InputError, match="low <= high, got low=5, high=None"):
        plot_grids(grids, low=5)
    with pytest.raises(gp.InputError, match="a band is needed"):
        plot_sizes(grids)
    with pytest.raises(gp.InputError, match="every grid is exclusive"):
        plot_sizes(grids.assign(kind="exclusive"), low=1, high=2)
    with pytest.raises(gp.CRSError, match="boundary has no CRS"):
        plot_grids(plan, boundary=gpd.GeoSeries([grids.union_all()]), label=None)
    with pytest.raises(gp.InputError, match="no such font is installed"):
        plot_grids(plan, font="Nowhere Sans")
    with pytest.raises(gp.InputError, match="no such font file"):
        plot_grids(plan, font="missing.ttf")


@needs_cjk
def test_boundary_is_drawn_whole(plan, grids):
    wide = gpd.GeoSeries([grids.union_all().buffer(900)], crs=grids.crs)
    ax = plot_grids(plan, boundary=wide.to_crs("EPSG:4490"))
    west, south, east, north = wide.total_bounds
    assert ax.get_xlim()[0] < west
    assert ax.get_xlim()[1] > east
    assert ax.get_ylim()[0] < south
    assert ax.get_ylim()[1] > north
    assert entries(ax)[-1] == "boundary"


def test_other_quantity_gets_its_own_classes(grids):
    grids["area_m2"] = np.arange(12) * 1000.0
    grids["within"] = "one"
    ax = plot_grids(grids, column="area_m2", low=200, high=500)
    assert ax.get_legend().get_title().get_text() == "area_m2"
    counts = [int(text.rsplit("(", 1)[1][:-1]) for text in entries(ax)[:5]]
    assert sum(counts) == 11  # the exclusive grid is counted by itself


@needs_cjk
def test_chinese_column_heads_the_legend(grids):
    grids["面积"] = 5.0
    title = plot_grids(grids, column="面积").get_legend().get_title()
    assert title.get_text() == "面积"
    assert title.get_fontproperties().get_file() is not None
    drawn = sheet.draw_sheet(Drawn(grids), column="面积").axes[1].get_legend().get_title()
    assert drawn.get_fontproperties().get_file() is not None
    assert (title.get_fontsize(), drawn.get_fontsize()) == (8, 10)


@pytest.mark.parametrize("band", [(200, 500), (200, 300), (160, 255), (30, 40), (300, 300), (1, 7)])
def test_classes_tile_the_band(band):
    low, high = band
    parts = band_classes(low, high, cmap="YlGn")
    for before, after in pairwise(parts):
        assert after.first == before.last + 1
    assert parts[1].first == low
    assert parts[-2].last == high
    assert len({part.color for part in parts}) == len(parts)


def test_plain_classes_of_equal_values_and_none():
    assert [part.label for part in plain_classes(np.array([7.0, 7.0]), cmap="YlGn")] == ["7 to 7"]
    assert plain_classes(np.array([np.nan]), cmap="YlGn") == []


@pytest.mark.parametrize("band", [(200, 500), (200, 300), (160, 255), (300, 300), (30, 40)])
def test_bars_count_every_grid_on_its_side_of_the_band(band):
    low, high = band
    rng = np.random.default_rng(1)
    values = np.append(rng.integers(0, 700, 300), [low, high, low - 1, high + 1]).astype(float)
    for width in (7, 25, 100):
        lefts, rights, counts = bars(values, low, high, width)
        assert (rights > lefts).all()
        assert (lefts[1:] == rights[:-1]).all()
        assert counts.sum() == len(values)
        assert counts[rights <= low].sum() == (values < low).sum()
        assert counts[lefts >= max(high, low + 1)].sum() == (values > high).sum()


@pytest.mark.parametrize("band", [(100, 120), (200, 500), (300, 300), (200, 307), (1, 90000)])
def test_bars_are_neither_too_many_nor_too_thin(band):
    low, high = band
    values = np.random.default_rng(0).integers(60, 720, 300).astype(float)
    width = bar_width(low, high, values)
    lefts, rights, counts = bars(values, low, high, width)
    assert counts.sum() == len(values)
    assert len(lefts) <= 64
    assert (lefts[1:] == rights[:-1]).all()


@pytest.mark.parametrize("band", [(100, 120), (300, 300), (200, 500)])
def test_texts_of_the_chart_cross_no_line_and_no_other_text(grids, band):
    ax = plot_sizes(grids, low=band[0], high=band[1], title="Sizes")
    ax.figure.canvas.draw()
    texts = [text.get_window_extent() for text in [*ax.texts, ax.title]]
    assert len(texts) >= 3
    assert min(text.y0 for text in texts) >= ax.get_window_extent().y1
    for i, text in enumerate(texts):
        assert not any(text.overlaps(other) for other in texts[:i])


def test_sizes_chart(plan):
    ax = plot_sizes(plan, title="Sizes")
    assert "9 of 11 grids in the band 200–500; median 333" in written(ax)
    assert {"1 below 200", "1 above 500"} <= written(ax)
    heights = [patch.get_height() for patch in ax.patches if patch.get_zorder() == 2]
    assert sum(heights) == 11
    assert ax.get_title() == "Sizes"


@needs_cjk
def test_chinese_gets_a_font_and_codes_keep_theirs(plan):
    ax = plot_grids(plan, title="网格图", source="资料来源")
    fonts = {text.get_text(): text.get_fontproperties() for text in ax.texts}
    face = mpl.font_manager.get_font(fonts["德洪"].get_file())
    assert all(face.get_char_index(ord(sign)) for sign in "德洪网格图")
    assert fonts["001"].get_file() is None
    assert ax.title.get_fontproperties().get_file() == fonts["德洪"].get_file()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of each missing glyph
        ax.figure.canvas.draw()


def test_without_a_font_a_package_is_named(monkeypatch):
    monkeypatch.setattr(fonts, "_candidates", lambda: ())
    with pytest.warns(gp.GridpartWarning, match="'网格'.*fonts-noto-cjk.*mplfonts") as caught:
        assert font_for(["001", "网格"]) is None
    assert len(caught) == 1
    assert font_for(["001", "São Paulo"]) is None


def test_own_font_is_taken_for_every_text():
    path = mpl.font_manager.findfont("DejaVu Serif")
    letters = Lettering(["001"], font=path)
    assert letters.style("001")["fontproperties"].get_file() == path
    assert not is_outline_cff(letters.style("001")["fontproperties"])
    assert font_for([], font="DejaVu Serif").get_file() == path


def test_a_file_that_is_no_font_is_no_candidate(tmp_path, monkeypatch):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"not a font")
    monkeypatch.setattr(fonts, "_candidates", lambda: (str(broken),))
    with pytest.warns(gp.GridpartWarning, match="no installed font"):
        assert font_for(["网"]) is None


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_sheet_is_whole_and_the_same_each_time(grids, tmp_path, suffix, start):
    grids["within"] = "one"
    first, again = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    for path in (first, again):
        sheet.write_map(Drawn(grids), path, dpi=60, source="Census")
    content = first.read_bytes()
    assert content.startswith(start)
    assert content == again.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, again.name]
    assert plt.get_fignums() == []


def test_sheet_is_laid_so_that_the_map_is_large(grids):
    grids["within"] = "one"
    wide = sheet.draw_sheet(Drawn(grids.set_geometry(grids.scale(4, 1, origin=(0, 0)))))
    tall = sheet.draw_sheet(Drawn(grids.set_geometry(grids.scale(1, 4, origin=(0, 0)))), paper="A3")
    assert wide.get_size_inches() == pytest.approx((11.69, 8.27))
    assert tall.get_size_inches() == pytest.approx((11.69, 16.54))
    assert "12 grids, 3,715 households" in "".join(t.get_text() for t in wide.axes[1].texts)


@pytest.mark.parametrize("words", [10, 40, 400])
def test_a_long_heading_stays_on_the_page(grids, words):
    grids["within"] = "one"
    title = " ".join(["heading"] * words)
    figure = sheet.draw_sheet(Drawn(grids), title=title, source=title)
    page = figure.bbox
    for text in figure.texts:
        drawn = text.get_window_extent()
        assert drawn.x1 < page.x1
        assert drawn.y0 > page.y0
        assert drawn.y1 < page.y1
        assert text.get_text().count("\n") <= 2
        assert words == 40 or text.get_text().endswith("…") == (words == 400)
    assert figure.texts[0].get_text().endswith("…") == (words == 400)
    assert figure.texts[0].get_window_extent().y0 > figure.axes[0].get_window_extent().y1


@needs_cjk
def test_a_long_chinese_heading_breaks_anywhere(grids):
    grids["within"] = "one"
    figure = sheet.draw_sheet(Drawn(grids), title="全县城乡社区服务网格划分方案" * 6)
    lines = figure.texts[0].get_text().split("\n")
    assert "".join(lines) == "全县城乡社区服务网格划分方案" * 6
    assert len(lines) == 2


@needs_cjk
def test_one_community_by_itself(plan, grids):
    around = gpd.GeoSeries([grids.union_all()], crs=grids.crs)
    figure = sheet.draw_sheet(plan, within="德洪", boundary=around)
    assert figure.texts[0].get_text() == "德洪: Service grids"
    page, panel = figure.axes
    assert {"001", "006"} <= written(page)
    assert "007" not in written(page)
    assert "6 grids, 1,870 households" in panel.texts[0].get_text()
    shown = grids[grids["within"] == "德洪"].total_bounds
    assert page.get_ylim()[1] < shown[3] + 100
    assert entries(panel)[-1] == "boundary"
    titled = sheet.draw_sheet(plan, within="Neucheng", title="Grids of Neucheng")
    assert titled.texts[0].get_text() == "Grids of Neucheng"


def test_the_boundary_away_from_a_community_is_left_out(plan, grids):
    wide = gpd.GeoSeries([grids.union_all().buffer(900)], crs=grids.crs)
    figure = sheet.draw_sheet(plan, within="Neucheng", boundary=wide.to_crs("EPSG:4490"))
    assert "boundary" not in entries(figure.axes[1])


def test_unknown_community_is_refused(plan, grids):
    with pytest.raises(gp.InputError, match=r"'Neuchen' is no community.*did you mean 'Neucheng'"):
        sheet.draw_sheet(plan, within="Neuchen")
    with pytest.raises(gp.InputError, match="no column 'within'"):
        sheet.draw_sheet(Drawn(grids.drop(columns="within")), within="x")


@needs_cjk
def test_the_boundary_is_seen_upon_a_community_border(plan, grids):
    around = gpd.GeoSeries([grids.union_all()], crs=grids.crs)
    ax = plot_grids(plan, boundary=around, label=None)
    lines = [c for c in ax.collections if isinstance(c, mpl.collections.LineCollection)]
    below, dashed = (c for c in lines if 4 <= c.get_zorder() < 5)
    border = next(c for c in lines if c.get_zorder() == 3)
    assert mpl.colors.to_hex(below.get_edgecolor()[0]) == "#ffffff"
    assert below.get_linewidth()[0] > border.get_linewidth()[0]
    assert dashed.get_linestyle()[0][1] is not None


def test_sheet_refusals(plan, tmp_path):
    with pytest.raises(gp.InputError, match=r"written as \.png, \.pdf, \.svg"):
        sheet.write_map(plan, tmp_path / "map.jpg")
    with pytest.raises(gp.InputError, match="paper='B5': choose one of A4, A3"):
        sheet.write_map(plan, tmp_path / "map.png", paper="B5")
    with pytest.raises(gp.OutputError, match="does not exist"):
        sheet.write_map(plan, tmp_path / "none" / "map.svg", font="DejaVu Sans")


@pytest.mark.slow
def test_porto_official_sections(shared_data):
    path = shared_data("porto_bgri2021/porto_bgri2021.gpkg")
    sections = gpd.read_file(path, layer="official_sections")
    sections["grid"] = sections["section_id"].str[-3:]
    sections["within"] = sections["section_id"].str[:6]
    ax = plot_grids(sections, low=200, high=500)
    labels = entries(ax)
    inside = sections["households"].between(200, 500).sum()
    assert f"outside the band  ({len(sections) - inside})" in labels
    shown = written(ax) & set(sections["grid"])
    assert len(shown) > 0.5 * sections["grid"].nunique()


def test_legend_entries_by_themselves(grids):
    grids["within"] = "one"
    labels = [entry.get_label() for entry in grid_legend(Drawn(grids), boundary=True)]
    assert labels[-1] == "boundary"
    assert "community border" not in labels


def test_barriers_and_crossings_stand_on_the_map_and_in_its_legend():
    cells = shapely.box(np.tile(np.arange(6), 2) * 100, [0] * 6 + [100] * 6,
                        np.tile(np.arange(1, 7), 2) * 100, [100] * 6 + [200] * 6)  # fmt: skip
    units = gpd.GeoDataFrame({"households": [50] * 12}, geometry=cells, crs="EPSG:4547")
    river = gpd.GeoSeries([shapely.LineString([(-50, 100), (650, 100)])], crs="EPSG:4547")
    bridge = gpd.GeoSeries([shapely.LineString([(250, 90), (250, 110)])], crs="EPSG:4547")
    plan = gp.partition(units, low=100, high=200, barriers=river, crossings=bridge, effort="fast")
    figure = sheet.draw_sheet(plan)
    page, panel = figure.axes[:2]
    drawn = [c for c in page.collections if mpl.colors.to_hex(c.get_edgecolor()[0]) == "#7fb2e0"]
    (path,) = drawn[0].get_paths()
    assert path.vertices.tolist() == [[0, 100], [600, 100]]  # no longer than the map
    (mark,) = [line for line in page.lines if line.get_marker() == "s"]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (250, 100)
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels[-2:] == ["barrier", "crossing"]
    assert page.get_xlabel() == page.get_ylabel() == ""
