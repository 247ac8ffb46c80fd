"""Grids grouped into beats: one level up, by the engine that groups units into grids."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gridpart.errors import InputError, Problem
from gridpart.staffing.headers import plain_text
from gridpart.staffing.loads import IntArray
from gridpart.staffing.locate import GridTable, grid_table, natural
from gridpart.staffing.neighbours import Neighbours, grids_of, neighbours_of
from gridpart.staffing.region import Answer
from gridpart.staffing.sharing import FINENESS, Group, Place, shared_out
from gridpart.staffing.workload import Loads, loads_of

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["Beats", "Needed", "beats", "workers_needed"]


@dataclass(frozen=True, repr=False, eq=False)
class Beats:
    """Grids in beats; made by :func:`beats`.

    Attributes
    ----------
    grids : DataFrame
        On the index of the grids: `grid`, `grid_code`, `within`, `households`, `load` and `beat`.
    beats : DataFrame
        One row per beat: `beat`, `within`, `n_grids`, `households`, `load`.
    lower_bound : float
        No way of making as many beats by the same rules has a heaviest one below it.
    """

    _grids: pd.DataFrame
    _beats: pd.DataFrame
    lower_bound: float

    @property
    def grids(self) -> pd.DataFrame:
        """Beat of every grid."""
        return self._grids.copy()

    @property
    def beats(self) -> pd.DataFrame:
        """One row per beat."""
        return self._beats.copy()

    @property
    def worst_load(self) -> float:
        """Load of the heaviest beat."""
        return float(self._beats["load"].max())

    @property
    def gap(self) -> float:
        """Share by which the heaviest beat is above the bound; 0 is proven to be optimal."""
        if self.worst_load <= self.lower_bound * (1 + 1e-9):
            return 0.0
        return self.worst_load / self.lower_bound - 1

    def __repr__(self) -> str:
        load = self._beats["load"]
        proof = "optimal" if self.gap == 0 else f"at most {self.gap:.1%} above the optimum"
        return (
            f"<Beats: {len(self._grids)} grids in {len(self._beats)} beats of "
            f"{load.min():,.0f} to {load.max():,.0f}, mean {load.mean():,.0f} ({proof})>"
        )


@dataclass(frozen=True, repr=False, eq=False)
class Needed:
    """How many workers a greatest load needs; made by :func:`workers_needed`.

    Attributes
    ----------
    limit : float
    workers : int
        With so many no load is above the limit.
    at_least : int
        With fewer some load is, which is proven.
    places : DataFrame
        One row per community: `within`, `grids`, `load`, `workers`, `at_least`.
    """

    limit: float
    workers: int
    at_least: int
    places: pd.DataFrame

    @property
    def proven(self) -> bool:
        """Whether it is proven that fewer cannot do."""
        return self.workers == self.at_least

    def __repr__(self) -> str:
        proof = "proven: fewer cannot do" if self.proven else f"proven: at least {self.at_least:,}"
        return f"<Needed: {self.workers:,} workers for at most {self.limit:,g} each ({proof})>"


@dataclass(frozen=True, eq=False)
class _Town:
    """Grids, loads and neighbours, place by place."""

    table: GridTable
    frame: pd.DataFrame
    loads: Loads
    near: Neighbours
    places: list[Place]
    names: list[str]


def _town(
    grids: Plan | pd.DataFrame,
    workload: pd.DataFrame | None,
    neighbours: pd.DataFrame | None,
    max_grids: int | None,
    *,
    cross_borders: bool,
    undivided: bool,
) -> _Town:
    if max_grids is not None and max_grids < 1:
        raise InputError(f"max_grids must be at least 1, got {max_grids}")
    frame = pd.DataFrame(grids_of(grids))
    table = grid_table(frame)
    loads = loads_of(table, workload)
    near = neighbours_of(grids, table, neighbours)
    if near is None:
        raise InputError(
            "nothing says which grids touch: give the plan, or its grids with their geometry, or "
            "neighbours"
        )
    within = ["" if cross_borders else place or "" for place in table.within]
    names = sorted(set(within), key=natural)
    members: dict[str, list[int]] = {name: [] for name in names}
    for g, name in enumerate(within):
        members[name].append(g)
    places = [
        Place(
            np.array(members[name], np.int64),
            loads.values,
            near,
            {},
            max_grids,
            free_beats=not undivided,
            undivided=undivided,
        )
        for name in names
    ]
    return _Town(table, frame, loads, near, places, names)


def beats(
    grids: Plan | pd.DataFrame,
    n: int | Mapping[str, int],
    *,
    workload: pd.DataFrame | None = None,
    neighbours: pd.DataFrame | None = None,
    max_grids: int | None = None,
    cross_borders: bool = False,
) -> Beats:
    """Group grids into beats for those who serve several: police officers, doctors, lawyers.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        As for :func:`assign_posts`.
    n : int or mapping of str to int
        Number of beats, in all or of each community.
    workload : DataFrame, optional
        What :func:`gridpart.workload` makes of the same grids; by default households are even.
    neighbours : DataFrame, optional
        Which grids touch, where they have no geometry; see :func:`assign_posts`.
    max_grids : int, optional
        Most grids of a beat.
    cross_borders : bool, default False
        Let a beat lie in several communities.

    Returns
    -------
    Beats
        Every beat connected; the heaviest as light as the engine finds, and a bound beside it.

    Raises
    ------
    InputError
        If there are fewer beats than connected sets of grids, more than grids, communities that
        are unknown or have no number, or nothing says which grids touch.

    Notes
    -----
    The same engine as for grids, with the grids as its units: the number of beats is fixed, and the
    upper bound of the band comes down as far as the engine finds, or proves.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": list("abcd"), "households": [300, 250, 200, 150]})
    >>> touching = pd.DataFrame({"focal": list("abc"), "neighbor": list("bcd")})
    >>> found = beats(grids, 2, neighbours=touching)
    >>> found
    <Beats: 4 grids in 2 beats of 350 to 550, mean 450 (optimal)>
    >>> found.grids["beat"].tolist()
    ['1', '1', '2', '2']
    """
    town = _town(
        grids, workload, neighbours, max_grids, cross_borders=cross_borders, undivided=True
    )
    own, rovers = _numbers(town, n, cross_borders=cross_borders)
    shared, _, bound = shared_out(town.places, own, rovers)
    return _as_beats(
        town, [group for found in shared for group in found], bound / FINENESS / town.loads.parts
    )


def _numbers(
    town: _Town, n: int | Mapping[str, int], *, cross_borders: bool
) -> tuple[list[int], int]:
    """Beats of each place, and those that may lie in any."""
    wrong = [
        count for count in (n.values() if isinstance(n, Mapping) else [n]) if not _is_whole(count)
    ]
    if wrong:
        raise InputError(f"a number of beats must be a whole number, not {wrong[0]!r}")
    needs = [_fewest(place) for place in town.places]
    sizes = [len(place.grids) for place in town.places]
    if isinstance(n, Mapping):
        if cross_borders:
            raise InputError("beats that cross borders have one number, not one per community")
        given = {plain_text(name) or "": count for name, count in n.items()}
        problems = [
            Problem("unknown_community", f"{name!r} is no community of the grids")
            for name in sorted(set(given) - set(town.names), key=natural)
        ]
        own = [given.get(name, 0) for name in town.names]
        for name, count, need, size in zip(town.names, own, needs, sizes, strict=True):
            if not need <= count <= size:
                text = (
                    f"{name or 'the grids'}: from {need} to {size} beats are possible, not {count}"
                )
                problems.append(Problem("number_of_beats", text))
        if problems:
            raise InputError(problems)
        return own, 0
    if not sum(needs) <= n <= sum(sizes):
        raise InputError(
            f"from {sum(needs)} to {sum(sizes)} beats are possible, not {n}: every connected set "
            "of grids of a community needs one"
        )
    return [0] * len(needs), int(n)


def _is_whole(number: Any) -> bool:
    return isinstance(number, numbers.Integral) and not isinstance(number, bool)


def _fewest(place: Place) -> int:
    return place.need(max(place.total, 1) * FINENESS).found


def _as_beats(town: _Town, groups: list[Group], bound: float) -> Beats:
    """Number beats by their first grids."""
    table = town.table
    groups = sorted(groups, key=lambda group: group.grids)
    beat = np.empty(len(table.grid), object)
    floats = town.loads.floats
    rows: list[dict[str, Any]] = []
    for number, group in enumerate(groups, start=1):
        at = list(group.grids)
        beat[at] = str(number)
        places = sorted({table.within[g] or "" for g in at}, key=natural)
        rows.append(
            {
                "beat": str(number),
                "within": "; ".join(places) or None,
                "n_grids": len(at),
                "households": sum(table.households[g] for g in at),
                "load": float(floats[at].sum()),
            }
        )
    back = np.argsort(np.array(table.row, np.int64))
    frame = pd.DataFrame(
        {
            "grid": np.array(table.grid, object)[back],
            "grid_code": np.array(table.code, object)[back],
            "within": np.array(table.within, object)[back],
            "households": np.array(table.households, np.int64)[back],
            "load": floats[back],
            "beat": beat[back],
        },
        index=town.frame.index,
    )
    table_of_beats = pd.DataFrame(rows)
    # caps are whole fractions of a unit of load, which nothing at all is not
    return Beats(frame, table_of_beats, min(bound, float(table_of_beats["load"].max())))


def workers_needed(
    grids: Plan | pd.DataFrame,
    limit: float,
    *,
    workload: pd.DataFrame | None = None,
    neighbours: pd.DataFrame | None = None,
    max_grids: int | None = None,
    cross_borders: bool = False,
    one_grid_each: bool = False,
) -> Needed:
    """How many workers it takes that nobody's load is above a limit, and a proof.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        As for :func:`assign_posts`.
    limit : float
        Greatest load of a worker: households, or what `workload` measures.
    workload, neighbours, max_grids, cross_borders
        As for :func:`assign_posts`.
    one_grid_each : bool, default False
        Give every grid a worker of its own; by default a worker may have several that touch.

    Returns
    -------
    Needed
        The number, the number below which it is proven to be impossible, and both by community.

    Raises
    ------
    InputError
        If the limit is not above 0, or nothing says which grids touch.

    Notes
    -----
    A grid above the limit is shared equally by as many as it takes, who have no other. The others
    are divided into the fewest beats below the limit; up to 14 grids in a piece fewer are tried
    one by one, until the engine proves that there is no way.

    Examples
    --------
    >>> grids = pd.DataFrame({"grid": list("abc"), "households": [700, 150, 200]})
    >>> touching = pd.DataFrame({"focal": list("ab"), "neighbor": list("bc")})
    >>> workers_needed(grids, 350, neighbours=touching)
    <Needed: 3 workers for at most 350 each (proven: fewer cannot do)>
    """
    if not 0 < limit < math.inf:
        raise InputError(f"limit must be a load above 0, got {limit}")
    if one_grid_each:
        max_grids = 1
    town = _town(
        grids, workload, neighbours, max_grids, cross_borders=cross_borders, undivided=False
    )
    cap = math.floor(limit * town.loads.parts * FINENESS + 1e-6)
    if cap < 1:
        raise InputError(f"limit must be at least 1/{FINENESS * town.loads.parts}, got {limit}")
    answers = [place.need(cap) for place in town.places]
    rows = [
        _needed_row(name, place, answer, town.loads)
        for name, place, answer in zip(town.names, town.places, answers, strict=True)
    ]
    table = pd.DataFrame(rows)
    found, proven = int(table["workers"].sum()), int(table["at_least"].sum())
    return Needed(float(limit), found, proven, table)


def _needed_row(name: str, place: Place, answer: Answer, loads: Loads) -> dict[str, Any]:
    at: IntArray = place.grids
    return {
        "within": name or None,
        "grids": int(at.size),
        "load": float(loads.floats[at].sum()),
        "workers": answer.found,
        "at_least": answer.proven,
    }
