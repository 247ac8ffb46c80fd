"""Among redrawn plans that move equally few households, one with shorter lines.

The program that puts grids in order counts households, not lines. Where it had a choice, units are
exchanged here: one that moved goes home and another of no more households moves in its place, or
a new unit goes to the other grid beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from gridpart.problem import Community, Measured, build_communities, widest_mm
from gridpart.redraw.selecting import part_of

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.contiguity import Contiguity
    from gridpart.redraw.level import Level

    Ints = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]
    Objects = npt.NDArray[np.object_]

__all__ = ["shorten"]

MOST_EXCHANGES = 200  # in one community


def shorten(
    units: gpd.GeoDataFrame,
    borders: Contiguity,
    measured: Measured,
    level: Level,
    names: Objects,
    fixed: Iterable[str],
) -> Objects:
    """Shorten the lines between areas that a redraw touched, at no household more.

    Parameters
    ----------
    units : GeoDataFrame of n units
    borders : Contiguity
        Of the units.
    measured : Measured
        Of the units.
    level : Level
        With the old areas, and what is held.
    names : ndarray of object, shape (n,)
        Area of every unit after the redraw.
    fixed : iterable of str
        Areas that are not to be touched: recorded exceptions.

    Returns
    -------
    ndarray of object, shape (n,)
        Areas of which no exchange of one unit for another, and no move of a single one, would
        shorten the lines without moving more households, or more units, than before.
    """
    home = level.home
    known = np.array([name is not None for name in home], np.bool_)
    away = known & (home != names)
    touched = {*home[away], *names[away], *names[~known]}
    touched -= {*level.kept, *level.parted, *fixed}
    own = np.flatnonzero(np.isin(names.astype(str), list(touched)))
    result = names.copy()
    if len(touched) < 2 or not own.size:
        return result
    some = units.iloc[own]
    graph = part_of(borders, own, some.index)
    small = Measured(*(axis[own] for axis in measured))
    for community in build_communities(some, graph, level.rules, small):
        at = own[community.members]
        lines = _Lines(community, level, home[at], names[at], level.pinned[at])
        lines.shorten()
        result[at] = lines.names[lines.labels]
    return result


class _Step(NamedTuple):
    """A unit that could go to another area, and what that changes."""

    unit: int
    to: int
    households: int
    units: int


class _Lines:
    """The areas of one community that were touched."""

    def __init__(
        self, community: Community, level: Level, home: Objects, names: Objects, pinned: Flags
    ) -> None:
        self.community, rules = community, level.rules
        self.names, labels = np.unique(names.astype(str), return_inverse=True)
        self.names = self.names.astype(object)
        self.labels = labels.reshape(-1).astype(np.int64)
        place = {name: number for number, name in enumerate(self.names)}
        # -1: new, may be anywhere; -2: from elsewhere, has moved in any case
        self.home = [-1 if name is None else place.get(name, -2) for name in home]
        bands = [(rules.low, rules.high), *(rules.bounds or {}).values()]
        self.low, self.high = (np.array(side) for side in zip(*bands, strict=True))
        self.widest = widest_mm(rules.max_diameter_m) or 0
        self.free = ~pinned & (community.sites < 0) & (community.tied < 0)
        held = np.unique(self.labels[community.sites >= 0])
        self.free &= ~np.isin(self.labels, held)
        self.closed_areas = set(held.tolist())
        open_ = ~community.closed
        rows = np.repeat(np.arange(home.size), np.diff(community.indptr))
        self.rows, self.columns = rows[open_], community.indices[open_]
        self.beside: list[list[tuple[int, int]]] = [[] for _ in range(home.size)]
        for u, v, length in zip(self.rows, self.columns, community.borders[open_], strict=True):
            self.beside[u].append((int(v), int(length)))

    def shorten(self) -> None:
        """Take the exchange that shortens most, as long as there is one."""
        for _ in range(MOST_EXCHANGES):
            best: tuple[int, list[_Step]] | None = None
            for steps in self._exchanges():
                gain = self._longer(steps)
                if gain < (0 if best is None else best[0]) and self._holds(steps):
                    best = gain, steps
            if best is None:
                return
            for step in best[1]:
                self.labels[step.unit] = step.to

    def _exchanges(self) -> Iterator[list[_Step]]:
        """Single steps and pairs of opposite ones that move no household and no unit more."""
        steps = [step for u in np.flatnonzero(self.free) for step in self._steps(int(u))]
        by_way: dict[tuple[int, int], list[_Step]] = {}
        for step in steps:
            by_way.setdefault((int(self.labels[step.unit]), step.to), []).append(step)
        for first in steps:
            if first.households > 0 or first.units > 0:
                continue
            yield [first]
            for second in by_way.get((first.to, int(self.labels[first.unit])), ()):
                more = first.households + second.households, first.units + second.units
                if max(more) <= 0:
                    yield [first, second]

    def _steps(self, u: int) -> Iterator[_Step]:
        here, home = int(self.labels[u]), self.home[u]
        load = int(self.community.loads[u, 0])
        for to in sorted({int(self.labels[v]) for v, _ in self.beside[u]} - {here}):
            if to not in self.closed_areas:
                more = 0 if home == -1 else int(to != home) - int(here != home)
                yield _Step(u, to, more * load, more)

    def _longer(self, steps: list[_Step]) -> int:
        """Millimetres, or cost, by which the lines get longer."""
        to = {step.unit: step.to for step in steps}
        total = 0
        for u, new in to.items():
            for v, length in self.beside[u]:
                if v in to and v < u:
                    continue  # once
                was = self.labels[u] != self.labels[v]
                total += length * (int(new != to.get(v, self.labels[v])) - int(was))
        return total

    def _holds(self, steps: list[_Step]) -> bool:
        """Whether all areas that take part keep their bounds, their width, and in one piece."""
        labels = self.labels.copy()
        areas = {int(labels[step.unit]) for step in steps} | {step.to for step in steps}
        for step in steps:
            labels[step.unit] = step.to
        return all(self._is_sound(labels == area) for area in areas)

    def _is_sound(self, members: Flags) -> bool:
        if not members.any():
            return False
        sums = self.community.loads[members].sum(axis=0)
        if (sums < self.low).any() or (sums > self.high).any():
            return False
        reach = self.community.reach[members]
        half = reach.shape[1] // 2
        if half:
            far = reach.max(axis=0)
            if (far[:half] + far[half:] > self.widest).any():
                return False
        inside = members[self.rows] & members[self.columns]
        n = members.size
        pairs = self.rows[inside], self.columns[inside]
        graph = csr_array((np.ones(pairs[0].size), pairs), shape=(n, n))
        part = connected_components(graph, directed=False)[1]
        return np.unique(part[members]).size == 1
