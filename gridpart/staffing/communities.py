"""What the communities of a plan are called, in its units, in a roster, and on the tab of a sheet.

At another level of a plan its grids, or areas of a level between, take the place of communities.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from gridpart.errors import Problem
from gridpart.staffing.headers import SHEET, has_sheets, plain_text, suggester
from gridpart.staffing.locate import Found, GridTable, names_in

if TYPE_CHECKING:
    import geopandas as gpd

    from gridpart.plan import Plan

__all__ = [
    "by_lost_grid", "by_sheet", "communities_in", "community_names", "community_problems",
    "other_names", "placeless_sheets",
]  # fmt: skip

_CODE = re.compile(r"[0-9-]+")
# What the code, or the id, of a grid has behind that of its community.
_SERIAL = re.compile(r"-?[0-9]{2,5}")


def _units_of(plan: Plan) -> gpd.GeoDataFrame:
    """Units with a column for every word that a community may be called by."""
    units, whole = plan.units, plan.whole
    if whole is None or "grid_code" not in whole.units.columns:
        return units
    return units.assign(grid_code=whole.units["grid_code"])  # those of the grids it lies in


def _namings(plan: Plan) -> Iterator[dict[str, str]]:
    """For each column of the units that tells the communities apart: its words for them."""
    assert plan.rules.parent is not None
    units = _units_of(plan)
    parent = units[plan.rules.parent].astype(str)
    n_places = parent.nunique()
    own = {plan.rules.parent, units.geometry.name, "grid"}
    for name in units.columns:
        if name in own or pd.api.types.infer_dtype(units[name], skipna=False) != "string":
            continue
        pairs = pd.DataFrame({"word": units[name].astype(str), "parent": parent}).drop_duplicates()
        if len(pairs) == n_places and pairs["word"].is_unique:
            words = map(plain_text, pairs["word"])
            known = zip(words, pairs["parent"], strict=True)
            yield {word: place for word, place in known if word is not None}


def other_names(grids: Plan | pd.DataFrame) -> dict[str, str]:
    """Other words for the communities of a plan: from columns of its units that tell them apart.

    A plan made by codes of communities knows their names so, and the other way round. Where the
    areas of another level lie in grids, those are known by their codes, too.
    """
    if isinstance(grids, pd.DataFrame) or grids.rules.parent is None:
        return {}
    known = set(grids.units[grids.rules.parent].astype(str))
    places: dict[str, set[str]] = {}  # a word of two columns may mean two communities
    for naming in _namings(grids):
        for word, place in naming.items():
            places.setdefault(word, set()).add(place)
    return {
        word: min(found) for word, found in places.items() if len(found) == 1 and word not in known
    }


def community_names(grids: Plan | pd.DataFrame) -> dict[str, str]:
    """The name of every community that a plan knows by its code; empty where it knows no names."""
    if isinstance(grids, pd.DataFrame) or grids.rules.parent is None:
        return {}
    if not all(_CODE.fullmatch(str(place)) for place in grids.units[grids.rules.parent]):
        return {}
    for naming in _namings(grids):
        if not any(_CODE.fullmatch(word) for word in naming):
            return {place: word for word, place in naming.items()}
    return {}


# ---------------------------------------------------------------- in a roster


def communities_in(
    cells: Sequence[str | None], known: Collection[str], other: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Communities that each cell names; several as the workbook of a staffing has them.

    Examples
    --------
    >>> communities_in(["East; West", "O", "/", "South East"], {"East", "West"}, {"O": "East"})
    [('East', 'West'), ('East',), (), ('South East',)]
    """
    names = dict.fromkeys([*known, *other])
    found: list[tuple[str, ...]] = []
    for cell in cells:
        parts = names_in(cell, names)
        if cell is not None and not all(part in names for part in parts):
            parts = [cell]  # rather one name that nobody knows
        found.append(tuple(dict.fromkeys(other.get(part, part) for part in parts)))
    return found


def by_sheet(
    places: Sequence[tuple[str, ...]],
    index: pd.Index,
    known: Collection[str],
    other: Mapping[str, str],
) -> list[tuple[str, ...]]:
    """Communities of posts, where a sheet that says none itself bears the name of one."""
    if not has_sheets(index):
        return list(places)
    sheets = index.get_level_values(SHEET).tolist()
    silent = set(sheets) - {sheet for sheet, place in zip(sheets, places, strict=True) if place}
    named = dict(zip(silent, communities_in([plain_text(s) for s in silent], known, other),
                     strict=True))  # fmt: skip
    own = {sheet: place for sheet, place in named.items() if set(place) <= set(known)}
    return [own.get(sheet, place) for sheet, place in zip(sheets, places, strict=True)]


def by_lost_grid(
    places: Sequence[tuple[str, ...]],
    named: Sequence[Sequence[str]],
    grids: Container[str],
    known: Collection[str],
    other: Mapping[str, str],
) -> list[tuple[str, ...]]:
    """Communities of posts, where only a grid that is no more says one: its code begins with it.

    Examples
    --------
    >>> named = [["42001003"], ["A-001", "B-001"], ["42001001"], ["42002"]]
    >>> by_lost_grid([()] * 4, named, {"42001001"}, {"42001", "B"}, {"A": "B"})
    [('42001',), ('B',), (), ()]
    """
    names = {place: place for place in known} | dict(other)
    found = []
    for place, mine in zip(places, named, strict=True):
        if not place and mine and not any(g in grids for g in mine):
            homes = {_home(g, names) for g in mine}
            place = tuple(filter(None, homes)) if len(homes) == 1 else ()
        found.append(place)
    return found


def _home(grid: str, names: Mapping[str, str]) -> str | None:
    ends = (k for k in range(len(grid) - 1, 0, -1) if grid[:k] in names)
    return next((names[grid[:k]] for k in ends if _SERIAL.fullmatch(grid[k:])), None)


def placeless_sheets(
    index: pd.Index, placed: Sequence[bool], known: Collection[str], other: Mapping[str, str]
) -> Problem | None:
    """Sheets with posts that neither a cell nor the sheet's name puts in a community."""
    if not has_sheets(index) or not known:
        return None
    sheets = pd.Series(index.get_level_values(SHEET).tolist(), dtype=object)
    counts = sheets[[not one for one in placed]].value_counts(sort=False)
    names = {*known, *other}
    suggest = suggester(names)
    # on a sheet that is a community's an empty cell means what it says
    silent = [
        (sheet, int(counts[sheet]))
        for sheet in sheets.unique()
        if sheet in counts and plain_text(sheet) not in names
    ]
    examples = tuple(
        f"sheet {sheet!r}: {n} post{'s' * (n != 1)}{suggest(str(sheet))}" for sheet, n in silent
    )
    text = (
        "posts without a community or a grid, on sheets that bear no community's name, may serve "
        "any community"
    )
    return Problem("placeless", text, examples) if examples else None


def community_problems(
    places: Sequence[tuple[str, ...]],
    grids: Sequence[Sequence[tuple[str, str]]],
    fixed: Sequence[Sequence[str]],
    table: GridTable,
    *,
    cross_borders: bool,
) -> list[Found]:
    """Unknown communities, and posts whose places contradict each other.

    Parameters
    ----------
    places : sequence of tuple of str
        Communities of each post.
    grids : sequence of sequence of tuple of str
        Every known grid that it names: what it is to the post, and its name.
    fixed : sequence of sequence of str
        Known ones that it must hold.
    table : GridTable
    cross_borders : bool
    """
    by_name, known = table.by_name, table.places
    no_place: list[tuple[int, str]] = []
    several: list[tuple[int, str]] = []
    contrary: list[tuple[int, str]] = []
    scattered: list[tuple[int, str]] = []
    suggest = suggester(known)
    for row, (mine, named, must) in enumerate(zip(places, grids, fixed, strict=True)):
        listed = "; ".join(mine)
        if unknown := [place for place in mine if place not in known]:
            no_place += [(row, f": {place!r}{suggest(place)}") for place in unknown]
        elif mine:
            homes = [(word, g, table.within[by_name[g]]) for word, g in named]
            contrary += [
                (row, f": {word} {g!r} lies in {home!r}, not in {listed!r}")
                for word, g, home in homes
                if home not in mine
            ]
            if len(mine) > 1 and not homes and not cross_borders:
                several.append((row, f": {listed!r}"))
        first: dict[str | None, str] = {}
        for g in must:
            first.setdefault(table.within[by_name[g]], g)
        if len(first) > 1 and not cross_borders:
            told = ", ".join(f"{g!r} in {home!r}" for home, g in first.items())
            scattered.append((row, f": {told}"))
    advice = "" if known else "; the plan has no communities, so leave the column out"
    return [
        Found("unknown_community", f"within is no community of the plan{advice}", no_place),
        Found(
            "several_communities",
            "within names several communities, and no grid says which; one post serves one of them",
            several,
        ),
        Found("contradiction", "within contradicts the grid", contrary),
        Found(
            "fixed_contradiction",
            "the fixed grids of one post lie in several communities; one post serves one of them",
            scattered,
        ),
    ]
