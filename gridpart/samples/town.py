"""Synthetic places: a seeded county town of any size, and the small one that ships.

Everything here is invented: names, codes, people. The county code 429999 is assigned to no
county; the rest of a community's 12 digits follows the ranges of the statistical division codes
(streets 001-099, towns 100-199; residents' committees from 001, villagers' committees from 200).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from gridpart._io import list_layers, read_vector
from gridpart.errors import InputError
from gridpart.samples.layout import lay_out
from gridpart.samples.mesh import MM

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.samples.blocks import Land
    from gridpart.samples.mesh import Ring

__all__ = ["Town", "county_town", "load_sample", "sample_path"]

CRS = "EPSG:4547"  # CGCS2000, 3-degree zone around 114 E, metres
ORIGIN = (538_000.0, 3_362_000.0)  # where the middle of the river stands
COUNTY = "429999"
FEWEST, MOST = 300, 1_000_000
TALLEST = 300  # households in the largest tower
EXCLUSIVE = ("school", "market", "factory")
HOMES = ("residential", "compound", "village")
SAMPLES = {"town": "town.gpkg", "roster": "roster.csv"}

# Of each quarter: share of the ground that is built on, and floors with their frequencies.
BUILT = {
    ("old", "residential"): (0.42, (1, 2, 3, 4, 6), (0.25, 0.35, 0.2, 0.12, 0.08)),
    ("old", "compound"): (0.3, (5, 6, 7), (0.3, 0.5, 0.2)),
    ("mixed", "residential"): (0.3, (4, 5, 6, 7), (0.15, 0.3, 0.4, 0.15)),
    ("mixed", "compound"): (0.24, (6, 7, 11), (0.5, 0.25, 0.25)),
    ("new", "residential"): (0.25, (5, 6, 7), (0.3, 0.5, 0.2)),
    ("new", "compound"): (0.16, (11, 18, 26, 33), (0.35, 0.35, 0.18, 0.11)),
    ("village", "village"): (0.14, (1, 2, 3), (0.3, 0.5, 0.2)),
}
OLD_AGE = {"old": 0.24, "mixed": 0.17, "new": 0.09, "village": 0.29}
FIRST = "和安永新东西南北福祥宁泰康顺兴明清文华长"
SECOND = "平乐丰源桥井塘湖林苑园坊巷溪岗岭柳桂梅荷"
STREETS = ("城关", "沿河", "新城", "清溪", "桃园", "望江", "石桥", "云台")
TOWNS = ("白鹭", "枫树", "龙泉", "竹林", "青山", "双河", "马鞍", "黄沙")


@dataclass(frozen=True)
class Town:
    """A synthetic county town.

    Parameters
    ----------
    units : GeoDataFrame
        One row per unit, edge-matched, on a grid of 1 mm: ``unit_id``, ``community`` (12 digits,
        text), ``community_name``, ``street_name``, ``kind``, ``exclusive``, ``compound`` (text,
        missing outside walled compounds), ``households``, ``population``, ``over65``, ``floors``.
    boundary : GeoDataFrame
        The whole territory, one row.
    communities : GeoDataFrame
        ``community``, ``community_name``, ``street_name``, ``households``, ``n_units``.
    river : GeoDataFrame
        The river's centre line, along which units meet; one row.
    bridges : GeoDataFrame
        The two bridges, from bank to bank.
    roads : GeoDataFrame
        ``road``: arterial, country, street, lane or track. Roads run along borders of units.
    compounds : GeoDataFrame
        Walled compounds, ``compound``, ``community`` and ``households``.
    seed : int
        What it was made from.
    """

    units: gpd.GeoDataFrame
    boundary: gpd.GeoDataFrame
    communities: gpd.GeoDataFrame
    river: gpd.GeoDataFrame
    bridges: gpd.GeoDataFrame
    roads: gpd.GeoDataFrame
    compounds: gpd.GeoDataFrame
    seed: int

    def __repr__(self) -> str:
        households = int(self.units["households"].sum())
        return (
            f"<Town: {len(self.units):,} units, {households:,} households, "
            f"{len(self.communities):,} communities, seed {self.seed}>"
        )


def county_town(n_units: int = 3000, *, seed: int = 0) -> Town:
    """Make a county town: an old town on a river, new quarters around it, villages in the fields.

    Parameters
    ----------
    n_units : int, default 3000
        How many units, from 300 to 1,000,000. The territory grows with it; beyond some 11,000
        units further towns appear.
    seed : int, default 0
        Same size and seed, same town.

    Returns
    -------
    Town
        GeoDataFrames in CGCS2000 / 3-degree Gauss-Kruger CM 114E (EPSG:4547, metres).

    Raises
    ------
    InputError
        If `n_units` is out of range or the seed is negative.

    Notes
    -----
    Communities are connected; each has at least 300 households. Units without homes (fields,
    water, parks, public buildings, exclusive sites) have 0 households. Every community stays
    connected when its exclusive sites (``exclusive``) are set aside. The community east of the
    outer bridge lies on both sides of the river. Land is divided as in Vanegas et al. (2012),
    Procedural generation of parcels in urban modeling, Computer Graphics Forum 31 (2).

    Examples
    --------
    >>> town = county_town(300, seed=1)
    >>> len(town.units), len(town.bridges)
    (300, 2)
    >>> bool(town.units.geometry.is_valid.all())
    True
    """
    if not FEWEST <= n_units <= MOST:
        raise InputError(f"n_units must be from {FEWEST:,} to {MOST:,}, not {n_units:,}")
    if seed < 0:
        raise InputError(f"seed must not be negative, but is {seed}")
    land = lay_out(int(n_units), int(seed))
    return _Builder(land, int(seed)).town()


def _whole(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to weights, none above `TALLEST` if the total allows it."""
    total = min(total, TALLEST * int((weights > 0).sum()))
    exact = np.zeros(len(weights))
    free = weights > 0
    while True:
        exact[free] = weights[free] * (total - exact[~free].sum()) / weights[free].sum()
        over = free & (exact > TALLEST)
        if not over.any():
            break
        exact[over] = TALLEST
        free &= ~over
        if not free.any():
            break
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    order = order[whole[order] < np.minimum(exact[order], TALLEST)]
    whole[order[: total - int(whole.sum())]] += 1
    return whole


class _Builder:
    """Frames from a laid-out town."""

    def __init__(self, land: Land, seed: int) -> None:
        self.land, self.seed = land, seed
        self.random = np.random.Generator(np.random.PCG64([seed, 1]))
        mesh = land.mesh
        # On the 1 mm grid again after the shift: sums of floats are not whole millimetres.
        shift = np.round(np.asarray(ORIGIN) * MM)
        self.points = (np.column_stack([mesh.xs, mesh.ys]) + shift) / MM
        rings = [mesh.expand(unit.ring) for unit in land.units]
        for unit, ring in zip(land.units, rings, strict=True):
            unit.ring = ring
        self.key = np.asarray([unit.community for unit in land.units])
        self.kind = np.asarray([unit.kind for unit in land.units])
        self.quarter = np.asarray([unit.quarter for unit in land.units])
        self.faces = self._polygons(rings)
        self._free_the_enclosed(rings)

    def _polygons(self, rings: list[Ring]) -> np.ndarray:
        lengths = np.asarray([len(ring) + 1 for ring in rings])
        flat = np.asarray([v for ring in rings for v in (*ring, ring[0])])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return shapely.from_ragged_array(
            shapely.GeometryType.POLYGON,
            self.points[flat],
            (offsets, np.arange(len(rings) + 1)),
        )

    def _line(self, path: Ring) -> Any:
        return shapely.linestrings(self.points[self.land.mesh.expand(path, closed=False)])

    def _free_the_enclosed(self, rings: list[Ring]) -> None:
        """Give up exclusive sites that would cut their community in two."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        start = np.asarray([v for ring in rings for v in ring])
        end = np.asarray([v for ring in rings for v in (*ring[1:], ring[0])])
        unit = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
        edge = np.minimum(start, end) * len(self.points) + np.maximum(start, end)
        order = np.argsort(edge, kind="stable")
        same = edge[order][1:] == edge[order][:-1]
        one, two = unit[order][:-1][same], unit[order][1:][same]
        site = np.isin(self.kind, EXCLUSIVE)
        joined = (self.key[one] == self.key[two]) & ~site[one] & ~site[two]
        count = len(rings)
        graph = coo_array((np.ones(int(joined.sum())), (one[joined], two[joined])), (count, count))
        part = connected_components(graph, directed=False)[1]
        pairs = np.unique(np.column_stack([self.key[~site], part[~site]]), axis=0)
        keys, parts = np.unique(pairs[:, 0], return_counts=True)
        broken = site & np.isin(self.key, keys[parts > 1])
        self.kind[broken] = "public"

    # ------------------------------------------------------------------ people

    def _floors(self) -> tuple[np.ndarray, np.ndarray]:
        """Floors of every unit, and how many homes it would hold, relative to others."""
        floors = np.zeros(len(self.faces), dtype=np.int64)
        homes = np.zeros(len(self.faces))
        area = shapely.area(self.faces)
        for (quarter, kind), (ground, heights, odds) in BUILT.items():
            here = np.flatnonzero((self.quarter == quarter) & (self.kind == kind))
            floors[here] = self.random.choice(heights, len(here), p=np.divide(odds, sum(odds)))
            spread = np.exp(
                (0.5 if quarter == "new" else 0.38) * self.random.standard_normal(len(here))
            )
            # A lane of old houses holds many homes, a large plot of the same height fewer.
            homes[here] = ground * area[here] ** 0.85 * floors[here] * spread
        other = np.isin(self.kind, ("public", *EXCLUSIVE))
        floors[other] = self.random.integers(1, 6, int(other.sum()))
        return floors, homes

    def _households(self, homes: np.ndarray) -> np.ndarray:
        target: dict[int, int] = {}
        for community in self.land.communities:
            target[community.key] = target.get(community.key, 0) + community.households
        out = np.zeros(len(homes), dtype=np.int64)
        order = np.argsort(self.key, kind="stable")
        keys, starts = np.unique(self.key[order], return_index=True)
        for key, here in zip(keys, np.split(order, starts[1:]), strict=True):
            out[here] = _whole(homes[here], target[int(key)])
        return out

    # ------------------------------------------------------------------ names

    def _names(self) -> dict[int, tuple[str, str, str]]:
        """Code, name and street of every community, by its key."""
        kinds: dict[int, str] = {}
        for community in self.land.communities:
            kind = "village" if community.kind == "village" else "urban"
            if kinds.get(community.key) != "urban":
                kinds[community.key] = kind
        pool = [a + b for a in FIRST for b in SECOND]
        names: dict[int, tuple[str, str, str]] = {}
        for kind, base, first, ending in (("urban", 1, 1, "社区"), ("village", 100, 200, "村")):
            keys = sorted(key for key, value in kinds.items() if value == kind)
            size = max(6, -(-len(keys) // 90))
            order = self.random.permutation(len(pool))
            for at, key in enumerate(keys):
                group, serial = divmod(at, size)
                code = f"{COUNTY}{base + group:03d}{first + serial:03d}"
                street = _street(group, kind)
                names[key] = (code, pool[order[at % len(pool)]] + ending, street)
        return names

    # ------------------------------------------------------------------ frames

    def town(self) -> Town:
        """All frames."""
        import geopandas as gpd
        import pandas as pd

        floors, homes = self._floors()
        households = self._households(homes)
        size = 2.65 + 0.3 * self.random.standard_normal(len(homes)).clip(-2, 2)
        population = np.rint(households * size).astype(np.int64)
        share = np.asarray([OLD_AGE.get(str(quarter), 0.0) for quarter in self.quarter])
        names = self._names()
        label = np.asarray([names[int(key)] for key in self.key], dtype=object)
        compound = [f"C{u.compound:05d}" if u.compound else None for u in self.land.units]
        order = np.argsort(label[:, 0].astype(str), kind="stable")
        columns = {
            "community": label[:, 0],
            "community_name": label[:, 1],
            "street_name": label[:, 2],
            "kind": self.kind.astype(object),
            "exclusive": np.isin(self.kind, EXCLUSIVE),
            "compound": np.asarray(compound, dtype=object),
            "households": households,
            "population": population,
            "over65": self.random.binomial(population, share),
            "floors": floors,
        }
        width = max(5, len(str(len(order))))
        frame = pd.DataFrame({name: values[order] for name, values in columns.items()})
        frame.insert(0, "unit_id", [f"U{at:0{width}d}" for at in range(1, len(order) + 1)])
        units = gpd.GeoDataFrame(frame, geometry=self.faces[order], crs=CRS)
        communities = _dissolve(units, "community", ["community_name", "street_name"])
        whole = shapely.coverage_union_all(communities.geometry.to_numpy())
        name = "清溪县"
        return Town(
            units=units,
            boundary=self._frame({"name": [name]}, [whole]),
            communities=communities,
            river=self._frame({"name": ["清溪河"]}, [self._line(self.land.river)]),
            bridges=self._frame(
                {"name": ["老桥", "新桥"]}, [self._line(path) for path in self.land.bridges]
            ),
            roads=self._frame(
                {"road": [chord.road for chord in self.land.chords]},
                [self._line(list(chord.path)) for chord in self.land.chords],
            ),
            compounds=_dissolve(units[units["compound"].notna()], "compound", ["community"]),
            seed=self.seed,
        )

    @staticmethod
    def _frame(columns: dict[str, list[str]], shapes: list[Any]) -> gpd.GeoDataFrame:
        import geopandas as gpd

        return gpd.GeoDataFrame(columns, geometry=shapes, crs=CRS)


def _street(group: int, kind: str) -> str:
    pool, ending = (STREETS, "街道") if kind == "urban" else (TOWNS, "镇")
    turn, at = divmod(group, len(pool))
    return pool[at] + (str(turn + 1) if turn else "") + ending


def _dissolve(units: gpd.GeoDataFrame, by: str, keep: list[str]) -> gpd.GeoDataFrame:
    """Units united by a column, with sums; their borders match, so a coverage union does."""
    import geopandas as gpd

    groups = units.groupby(by, sort=True)
    table = groups[keep].first()
    table["households"] = groups["households"].sum()
    table["n_units"] = groups.size()
    faces = units.geometry.to_numpy()
    shapes = [shapely.coverage_union_all(faces[groups.indices[key]]) for key in table.index]
    return gpd.GeoDataFrame(table.reset_index(), geometry=shapes, crs=units.crs)


# ---------------------------------------------------------------------- the sample that ships


def _folders() -> tuple[Path, ...]:
    package = Path(__file__).resolve().parents[1]
    return package / "_samples", package.parent / "data" / "samples"


def sample_path(name: str = "town") -> Path:
    """Where a bundled sample file lies.

    Parameters
    ----------
    name : {"town", "roster"}, default "town"
        The county town (GeoPackage) or its roster of posts (CSV).

    Returns
    -------
    Path
        An existing file.

    Raises
    ------
    InputError
        If there is no sample of this name, or the file is not installed.

    Examples
    --------
    >>> sample_path("roster").name
    'roster.csv'
    """
    if name not in SAMPLES:
        raise InputError(f"there is no sample {name!r}; there are: {', '.join(SAMPLES)}")
    folders = _folders()
    for folder in folders:
        if (folder / SAMPLES[name]).is_file():
            return folder / SAMPLES[name]
    places = " nor ".join(str(folder) for folder in folders)
    raise InputError(
        f"the sample {SAMPLES[name]} is neither in {places}; install gridpart again, or make a "
        "town of your own with gridpart.county_town()"
    )


def load_sample(name: str = "town", layer: str = "units") -> gpd.GeoDataFrame:
    """Load a layer of the bundled synthetic county town.

    Parameters
    ----------
    name : {"town"}, default "town"
        Which sample.
    layer : str, default "units"
        ``units``, ``boundary``, ``communities``, ``river``, ``bridges``, ``roads`` or
        ``compounds``; what they hold is told by :class:`Town`.

    Returns
    -------
    GeoDataFrame
        In EPSG:4547, metres.

    Raises
    ------
    InputError
        If there is no such sample or layer.

    Examples
    --------
    >>> units = load_sample()
    >>> len(units), units.crs.to_epsg()
    (1600, 4547)
    """
    path = sample_path(name)
    if path.suffix != ".gpkg":
        raise InputError(f"the sample {name!r} is a table; read the file sample_path({name!r})")
    layers = list_layers(path)
    if layer not in layers:
        raise InputError(f"the sample {name!r} has no layer {layer!r}; it has: {', '.join(layers)}")
    return read_vector(path, layer=layer)
