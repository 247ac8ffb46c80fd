"""Checks of a table of units and their grids: each unit in one grid, each grid in one part."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart._geometry.distinct import distinct, distinct_pairs
from gridpart.contiguity import Contiguity, build_contiguity
from gridpart.coverage.findings import Finding
from gridpart.coverage.rules import unit_without_geometry
from gridpart.coverage.scene import Scene
from gridpart.coverage.territory import groups_of
from gridpart.errors import GridpartWarning

__all__ = ["Parts", "check_connection", "check_listing"]

Integers = NDArray[np.int64]
NAMED = 6
# A layer of units in more pieces than this beyond the number of its grids is no coverage:
# buildings, or parcels with streets between them.
SPARE_PIECES = 2


@dataclass(frozen=True)
class Parts:
    """Who touches whom among the units that are polygons.

    Parameters
    ----------
    rows : (k,) array of int
        Positions of those units.
    graph : Contiguity or None
        Of them; None where there are none.
    home : (k,) array of int
        Their grids; -1 for none.
    label : (k,) array of int
        Connected units of the same grid, or of none, carry the same number.
    told : bool
        Whether the units are a coverage, of which connection can be told.
    """

    rows: Integers
    graph: Contiguity | None
    home: Integers
    label: Integers
    told: bool

    @classmethod
    def of(cls, scene: Scene, graph: Contiguity | None) -> Parts:
        """Find the neighbours, unless they are given."""
        import geopandas as gpd

        shapes = scene.unit_shapes
        if graph is not None:
            rows = np.arange(len(shapes))
        else:
            rows = np.flatnonzero(np.isin(shapely.get_type_id(shapes), (3, 6)))
            rows = rows[shapely.area(shapes[rows]) > 0]
        home = scene.home[rows]
        if not len(rows):
            return cls(rows, None, home, home, told=False)
        given = graph is not None
        if graph is None:
            polygons = gpd.GeoDataFrame(geometry=list(shapes[rows]), crs=scene.crs)
            graph = build_contiguity(polygons, tolerance=scene.tolerance)
        first, second = graph.rows, graph.indices.astype(np.int64)
        pieces = len(distinct(groups_of(len(rows), first, second)))
        same = home[first] == home[second]
        label = groups_of(len(rows), first[same], second[same])
        told = given or pieces <= len(scene.zones) + SPARE_PIECES
        return cls(rows, graph, home, label, told)

    def around(self, label: int) -> tuple[dict[int, float], Integers]:
        """Share of the outline of a part that every other grid has, largest first; its members.

        The share of units in no grid stands under -1, what borders on nothing under -2.
        """
        graph = self.graph
        assert graph is not None
        members = np.flatnonzero(self.label == label)
        inside = np.zeros(len(self.rows), dtype=bool)
        inside[members] = True
        lengths: dict[int, float] = {-2: float(graph.exterior_mm[members].sum())}
        for unit in members:
            span = slice(graph.indptr[unit], graph.indptr[unit + 1])
            for other, length in zip(graph.indices[span], graph.lengths_mm[span], strict=True):
                if not inside[other]:
                    grid = int(self.home[other])
                    lengths[grid] = lengths.get(grid, 0.0) + float(length)
        total = sum(lengths.values()) or 1.0
        ranked = sorted(lengths.items(), key=lambda item: (-item[1], item[0]))
        return {grid: length / total for grid, length in ranked}, members


def check_connection(scene: Scene, parts: Parts) -> Iterator[Finding]:
    """Grids whose units hang together in several parts."""
    kept = parts.home >= 0
    pairs = distinct_pairs(parts.home[kept], parts.label[kept])
    grids, counts = np.unique(pairs[:, 0], return_counts=True)
    area = np.bincount(parts.label, shapely.area(scene.unit_shapes[parts.rows]))
    for grid in grids[counts > 1]:
        own = pairs[pairs[:, 0] == grid, 1]
        own = own[np.lexsort((own, -area[own]))]
        yield _in_parts(scene, parts, int(grid), own)
    points = np.setdiff1d(np.flatnonzero(scene.shaped), parts.rows)
    beside = np.setdiff1d(scene.home[points], [-1])
    if len(beside):
        message = (
            f"whether {len(points)} units that are no polygons touch the rest of their grids "
            f"cannot be told: {', '.join(scene.zones.named(beside[:NAMED]))}"
        )
        warnings.warn(message, GridpartWarning, stacklevel=4)


def _in_parts(scene: Scene, parts: Parts, grid: int, labels: Integers) -> Finding:
    """Say of a grid in several parts who borders on all but the largest."""
    name = scene.zones.ids[grid]
    small: list[int] = []
    border: dict[int, float] = {}
    for label in labels[1:]:
        shares, members = parts.around(int(label))
        small += parts.rows[members].tolist()
        for other, share in shares.items():
            if other >= 0:
                border[other] = border.get(other, 0.0) + share
    rows = np.array(sorted(small))
    households = scene.households_at(rows)
    holding = "" if households is None else f" and {households} households"
    message = f"grid {name} has {len(labels)} parts; all but the largest hold {_units(len(rows))}"
    advice = chinese = None
    if border:
        best = max(border, key=lambda other: (border[other], -other))
        share, to = border[best] / sum(border.values()), scene.zones.ids[best]
        advice = f"give it to grid {to}, which has {share:.0%} of its border with others"
        chinese = f"划入网格{to}：占其与其他网格共用边界的{share:.0%}。"
    return Finding(
        "multipart",
        message + holding + ("" if border else "; no other grid borders on them: an islet?"),
        (name,),
        shapely.union_all(scene.unit_shapes[rows]),
        households,
        severity=None if border else "warning",
        advice=advice,
        advice_chinese=chinese,
        rows=(grid,),
    )


# --------------------------------------------------------------------------- every unit once


def check_listing(scene: Scene, parts: Parts, *, by_id: bool) -> Iterator[Finding]:
    """Find units in no grid, without a shape, or listed more than once."""
    if scene.shaped.any():
        yield from unit_without_geometry(scene)
    yield from _uncovered(scene, parts)
    same_id = _by_id(scene) if by_id else []
    for rows in same_id:
        yield _listed_again(scene, rows, f"unit {scene.unit_ids[rows[0]]} is listed {len(rows)} ×")
    told = {tuple(rows) for rows in same_id}
    for rows in _by_shape(scene, parts):
        if tuple(rows) not in told:
            names = ", ".join(scene.unit_names(rows[:NAMED]))
            yield _listed_again(scene, rows, f"units {names} have the same shape")


def _uncovered(scene: Scene, parts: Parts) -> Iterator[Finding]:
    """Units in no grid: those that hang together as one finding, with the grid beside them."""
    bare = np.flatnonzero(scene.home < 0)
    if parts.told:
        for label in distinct(parts.label[parts.home < 0]):
            shares, members = parts.around(int(label))
            best = next((grid for grid in shares if grid >= 0), None)
            yield _bare(scene, parts.rows[members], best, 0.0 if best is None else shares[best])
        bare = np.setdiff1d(bare, parts.rows)
    if len(bare):
        yield _bare(scene, bare, None, 0.0)


def _bare(scene: Scene, rows: Integers, best: int | None, share: float) -> Finding:
    advice = chinese = None
    if best is not None:
        name = scene.zones.ids[best]
        advice = f"assign to grid {name}: shares {share:.0%} of its border"
        chinese = f"划入网格{name}：与其共用{share:.0%}的边界。"
    verb = "is" if len(rows) == 1 else "are"
    return Finding(
        "unit_uncovered",
        f"{_units(len(rows))} {verb} assigned to no grid",
        scene.unit_names(rows),
        shapely.union_all(scene.unit_shapes[rows]),
        scene.households_at(rows),
        n=len(rows),
        advice=advice,
        advice_chinese=chinese,
    )


def _by_id(scene: Scene) -> list[Integers]:
    """Rows that carry the same id, for each id that several carry."""
    names = pd.Series([scene.unit_ids[row] for row in range(len(scene.unit_ids))], dtype=object)
    return _alike(names[names != ""])


def _by_shape(scene: Scene, parts: Parts) -> list[Integers]:
    """Rows of polygons with the same shape; buildings that share a point are no rarity."""
    rows = parts.rows[shapely.area(scene.unit_shapes[parts.rows]) > 0]
    shapes = shapely.to_wkb(shapely.normalize(scene.unit_shapes[rows]))
    return _alike(pd.Series(shapes, index=rows, dtype=object))


def _alike(values: pd.Series) -> list[Integers]:
    doubled = values[values.duplicated(keep=False)]
    groups = doubled.groupby(doubled, sort=False).groups.values()
    return [np.sort(np.asarray(rows, dtype=np.int64)) for rows in groups]


def _listed_again(scene: Scene, rows: Integers, message: str) -> Finding:
    """Rows for the same unit: in different grids, or counted twice in one."""
    homes = np.unique(scene.home[rows])
    names = scene.zones.named(homes[homes >= 0])
    split = len(names) > 1
    where = f"in grids {', '.join(names)}" if split else f"in grid {names[0]}" if names else ""
    units = tuple(dict.fromkeys(scene.unit_names(rows)))
    extra = scene.households_at(rows[1:])
    return Finding(
        "unit_twice" if split else "unit_duplicate",
        f"{message}, {where or 'in no grid'}",
        (*units, *names),
        shapely.union_all(scene.unit_shapes[rows]),
        extra,
        n=len(rows) - 1,
    )


def _units(n: int) -> str:
    return f"{n} unit{'' if n == 1 else 's'}"
