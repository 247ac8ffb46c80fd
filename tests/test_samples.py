"""The synthetic county town: exact coverage, believable counts, and the sample that ships."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import geopandas as gpd
import networkx as nx
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from gridpart.errors import InputError
from gridpart.samples import county_town, load_sample, sample_path
from gridpart.samples import town as samples
from gridpart.samples.blocks import _uses
from gridpart.samples.mesh import Draws, Mesh, Style

LAYERS = ("units", "boundary", "communities", "river", "bridges", "roads", "compounds")
CASES = [(300, 4), (1000, 0), (2500, 7)]


@pytest.fixture(scope="module", params=CASES, ids=[f"{n}-seed{s}" for n, s in CASES])
def town(request):
    n_units, seed = request.param
    return county_town(n_units, seed=seed)


@pytest.fixture(scope="module")
def made(project_root):
    """The script that makes the sample, as a module."""
    path = project_root / "data" / "samples" / "make.py"
    spec = importlib.util.spec_from_file_location("make_sample", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rook(units):
    """Units that share a border, found by shapely and not by gridpart."""
    shapes = units.geometry.to_numpy()
    one, two = shapely.STRtree(shapes).query(shapes, predicate="touches")
    one, two = one[one < two], two[one < two]
    long = shapely.length(shapely.intersection(shapes[one], shapes[two])) > 0
    graph = nx.Graph()
    graph.add_nodes_from(range(len(units)))
    graph.add_edges_from(zip(one[long].tolist(), two[long].tolist(), strict=True))
    return graph


# ------------------------------------------------------------------ geometry


def test_as_many_units_as_asked(town, request):
    n_units = request.node.callspec.params["town"][0]
    assert len(town.units) == n_units
    assert town.units["unit_id"].is_unique


def test_units_are_an_exact_coverage(town):
    shapes = town.units.geometry.to_numpy()
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert (shapely.get_num_interior_rings(shapes) == 0).all()
    whole = shapely.union_all(shapes)
    assert whole.geom_type == "Polygon"
    assert len(whole.interiors) == 0
    assert shapely.area(shapes).sum() == pytest.approx(whole.area, rel=1e-12)
    boundary = town.boundary.geometry.iloc[0]
    assert boundary.symmetric_difference(whole).area < 1e-6
    assert shapely.area(shapes).min() > 50


def test_coordinates_are_whole_millimetres(town):
    for layer in ("units", "river", "bridges", "roads"):
        points = shapely.get_coordinates(getattr(town, layer).geometry.to_numpy()) * 1000
        assert np.abs(points - np.rint(points)).max() < 1e-4
    assert town.units.crs.to_epsg() == 4547


def test_communities_are_connected_even_without_exclusive_sites(town):
    graph = rook(town.units)
    code = town.units["community"].to_numpy()
    alone = town.units["exclusive"].to_numpy()
    for community in np.unique(code):
        members = np.flatnonzero(code == community)
        assert nx.is_connected(graph.subgraph(members.tolist()))
        assert nx.is_connected(graph.subgraph(members[~alone[members]].tolist()))


def segments(shapes):
    """Every straight piece of lines or rings, in whole millimetres, regardless of direction."""
    points, line = shapely.get_coordinates(shapes, return_index=True)
    points = np.rint(points * 1000).astype(np.int64)
    pieces = np.hstack([points[:-1], points[1:]])[line[1:] == line[:-1]].tolist()
    return {tuple(sorted(((a, b), (c, d)))) for a, b, c, d in pieces}


def test_lines_run_along_borders_of_units(town):
    borders = segments(shapely.boundary(town.units.geometry.to_numpy()))
    for layer in ("river", "roads", "bridges"):
        pieces = segments(getattr(town, layer).geometry.to_numpy())
        assert pieces
        assert pieces <= borders, layer


def on_both_banks(communities, river):
    """Codes of the communities through which the river runs, not along which."""
    line = river.geometry.iloc[0]
    inside = communities.geometry.buffer(-1.0).intersection(line).length
    return communities.loc[inside > 100, "community"].tolist()


def test_a_community_spans_the_river(town):
    assert len(on_both_banks(town.communities, town.river)) == 1
    assert len(town.bridges) == 2
    assert town.bridges.length.between(50, 250).all()


# ------------------------------------------------------------------ counts


def test_sums_agree(town):
    units = town.units
    by_community = units.groupby("community")["households"].agg(["sum", "size"])
    table = town.communities.set_index("community")
    assert table["households"].to_dict() == by_community["sum"].to_dict()
    assert table["n_units"].to_dict() == by_community["size"].to_dict()
    estates = units.dropna(subset=["compound"]).groupby("compound")["households"].sum()
    assert town.compounds.set_index("compound")["households"].to_dict() == estates.to_dict()


def test_counts_are_like_life(town):
    units = town.units
    households = units["households"]
    assert households.dtype == "int64"
    assert households.between(0, 300).all()
    assert 0.05 <= (households == 0).mean() <= (0.25 if len(units) >= 1000 else 0.35)
    assert households.skew() > 1
    homes = units["kind"].isin(["residential", "compound", "village"])
    assert (households[~homes] == 0).all()
    assert (units.loc[homes, "floors"] > 0).all()
    assert {"farmland", "water", "village", "compound", "residential"} <= set(units["kind"])
    people = units["population"]
    assert people.sum() / households.sum() == pytest.approx(2.65, abs=0.15)
    assert (units["over65"] <= people).all()
    assert units.loc[units["exclusive"], "kind"].isin(["school", "market", "factory"]).all()
    assert units["exclusive"].any()


def test_parents_are_codes_of_twelve_digits(town):
    code = town.communities["community"]
    assert code.str.fullmatch(r"429999\d{6}").all()
    urban = town.communities["community_name"].str.endswith("社区")
    assert code[urban].str[9:].astype(int).between(1, 199).all()
    assert code[~urban].str[9:].astype(int).between(200, 399).all()
    assert town.communities["households"].between(300, 3500).all()


# ------------------------------------------------------------------ promises


def test_same_seed_same_town_and_another_seed_another():
    one, two, other = county_town(400, seed=3), county_town(400, seed=3), county_town(400, seed=4)
    for layer in LAYERS:
        assert_geodataframe_equal(getattr(one, layer), getattr(two, layer))
    assert one.units.geometry.iloc[0] != other.units.geometry.iloc[0]
    assert repr(one).startswith("<Town: 400 units, ")


@pytest.mark.parametrize("n_units", [0, 299, 1_000_001])
def test_sizes_out_of_range_are_refused(n_units):
    with pytest.raises(InputError, match="n_units must be from 300 to 1,000,000"):
        county_town(n_units)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed must not be negative"):
        county_town(300, seed=-1)


def test_households_are_shared_out_whole_and_below_the_tallest():
    whole = samples._whole(np.array([0.0, 1.0, 1.0, 98.0]), 500)
    assert whole.tolist() == [0, 100, 100, 300]
    assert samples._whole(np.array([1.0, 2.0]), 5_000).tolist() == [300, 300]
    assert samples._whole(np.array([3.0, 3.0, 3.0]), 10).sum() == 10


# ------------------------------------------------------------------ the mesh


def square(mesh, side=100_000):
    return [mesh.vertex(x, y) for x, y in ((0, 0), (side, 0), (side, side), (0, side))]


def test_a_cut_is_seen_by_the_neighbour():
    mesh = Mesh()
    a, b, c, d = square(mesh)
    e, f = mesh.vertex(200_000, 0), mesh.vertex(200_000, 100_000)
    left, right = [a, b, c, d], [b, e, f, c]
    cut = mesh.cut(left, np.pi / 2, 40_000, snap=2.0)
    assert cut is not None
    one, two, chord = cut
    assert mesh.area(one) + mesh.area(two) == 10_000
    assert {mesh.area(one), mesh.area(two)} == {4_000, 6_000}
    seen = set(mesh.expand(right)) - set(right)
    assert seen == set(chord) - set(mesh.expand([d, a], closed=False))


def test_a_cut_near_a_corner_ends_on_it_or_is_refused():
    mesh = Mesh()
    ring = square(mesh)
    vertices = len(mesh.xs)
    assert mesh.cut(ring, 0.0, 1_000, snap=2.0) is None
    assert len(mesh.xs) == vertices
    assert mesh.expand(ring) == ring
    one, two, _ = mesh.cut(ring, np.pi / 4, 70_000, snap=5.0)
    assert sorted((len(one), len(two))) == [3, 3]


def test_division_of_a_crooked_face_gives_all_parts_and_keeps_the_area():
    mesh = Mesh()
    corners = ((0, 0), (300, 0), (300, 60), (90, 70), (80, 260), (0, 250))
    ring = [mesh.vertex(1000 * x, 1000 * y) for x, y in corners]
    whole = mesh.area(ring)
    cells = mesh.divide(ring, 25, Style(turn=0.05, bend=0.02), Draws(5), [])
    assert len(cells) == 25
    rings = [mesh.expand(cell) for cell in cells]
    # New vertices are rounded to 1 mm, and the outer ring with them.
    assert sum(mesh.area(cell) for cell in rings) == pytest.approx(whole, rel=1e-4)
    assert sum(mesh.area(cell) for cell in rings) == pytest.approx(mesh.area(mesh.expand(ring)))
    shapes = [shapely.Polygon([(mesh.xs[v], mesh.ys[v]) for v in ring]) for ring in rings]
    assert shapely.coverage_is_valid(shapes)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_community_of_few_blocks_keeps_one_to_live_in(count):
    for seed in range(20):
        uses = _uses(
            [[]] * count, [1.0] * count, "new", ["school", "market", "factory"], Draws(seed)
        )
        assert {"residential", "compound"} & set(uses)
        assert len(uses) == count


# ------------------------------------------------------------------ the sample that ships


@pytest.mark.parametrize("layer", LAYERS)
def test_the_sample_is_what_its_script_makes(made, layer):
    expected = getattr(_bundled(made), layer)
    found = load_sample("town", layer=layer)
    assert_geodataframe_equal(found, expected, check_dtype=False)


_CACHE: dict[str, object] = {}


def _bundled(made):
    if "town" not in _CACHE:
        _CACHE["town"] = made.town()
    return _CACHE["town"]


def test_the_script_writes_both_files(made, tmp_path):
    made.main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["roster.csv", "town.gpkg"]
    assert (tmp_path / "roster.csv").read_bytes() == sample_path("roster").read_bytes()
    units = gpd.read_file(tmp_path / "town.gpkg", layer="units")
    assert_geodataframe_equal(units, load_sample())


def test_the_sample_is_small_and_can_be_planned():
    assert sample_path("town").stat().st_size < 2_500_000
    communities = load_sample(layer="communities")
    for households in communities["households"]:
        assert any(200 * m <= households <= 500 * m for m in range(1, 20))
    assert load_sample()["households"].max() <= 500


def test_the_roster_names_communities_of_the_sample():
    roster = pd.read_csv(sample_path("roster"), dtype=str)
    assert list(roster.columns) == ["post_id", "role", "within"]
    assert roster["post_id"].is_unique
    assert set(roster["role"]) == {"grid_leader", "full_timer", "police", "doctor", "lawyer"}
    assert set(roster["within"]) == set(load_sample()["community"])


def test_the_readme_tells_the_truth(project_root):
    text = (project_root / "data" / "samples" / "README.md").read_text(encoding="utf-8")
    units, roads = load_sample(), load_sample(layer="roads")
    roster = pd.read_csv(sample_path("roster"), dtype=str)
    assert f"{len(units):,} units\nwith {units['households'].sum():,} households" in text
    assert f"{units['exclusive'].sum()} schools" in text
    assert f"{(units['households'] == 0).mean():.0%}".replace("%", " %") + " of the units" in text
    assert f"{len(roads)} lines" in text
    spanning = on_both_banks(load_sample(layer="communities"), load_sample(layer="river"))
    assert f"`{spanning[0]}` lies on both sides of the river" in text
    assert f"{len(roster)} posts" in text


def test_wrong_names_are_told():
    with pytest.raises(InputError, match="there are: town, roster"):
        load_sample("village")
    with pytest.raises(InputError, match="it has: units, boundary"):
        load_sample(layer="unit")
    with pytest.raises(InputError, match=r"read the file sample_path\('roster'\)"):
        load_sample("roster")


def test_a_missing_file_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(samples, "_folders", lambda: (tmp_path / "a", tmp_path / "b"))
    with pytest.raises(InputError, match="install gridpart again"):
        sample_path()


def test_the_installed_place_comes_first(monkeypatch, tmp_path):
    inside, beside = tmp_path / "_samples", tmp_path / "samples"
    for folder in (inside, beside):
        folder.mkdir()
        Path(folder, "town.gpkg").write_bytes(b"")
    monkeypatch.setattr(samples, "_folders", lambda: (inside, beside))
    assert sample_path() == inside / "town.gpkg"


def test_a_town_whose_largest_parcel_cannot_be_cut_still_has_its_number_of_units():
    assert len(county_town(2600, seed=9).units) == 2600
