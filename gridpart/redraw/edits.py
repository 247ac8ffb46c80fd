"""Hand edits of a plan, with its rules checked at once: move, split, merge, swap."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.errors import InputError, Problem
from gridpart.plan import Plan
from gridpart.redraw.areas import divide_areas, exceptions_below
from gridpart.redraw.changes import Changes, change_table
from gridpart.redraw.checks import BROKEN, Effect, Touched, as_table, check_edit
from gridpart.redraw.leftovers import exceptions_after
from gridpart.redraw.parents import Parents
from gridpart.redraw.recording import recording
from gridpart.redraw.selecting import (
    called,
    community_of,
    found_groups,
    given_groups,
    grid_of,
    in_order,
    labels_of,
    places_of,
    told,
)
from gridpart.redraw.serials import Serials, scheme_of

if TYPE_CHECKING:
    from typing import Unpack

    import geopandas as gpd

    from gridpart.codes import Register

    Ints = npt.NDArray[np.int64]
    Objects = npt.NDArray[np.object_]

__all__ = ["Edit", "EditOptions", "merge", "move", "split", "swap"]

EDITS_KEY = "edits"  # under which the provenance of a plan tells what was done by hand


class EditOptions(TypedDict, total=False):
    """What every hand edit takes besides, by keyword.

    force : bool, default False
        Do it even if a rule breaks; the plan's exceptions say so then, with the reason
        ``by_hand``.
    reason : str
        Why; it stands beside what was forced, and in the register.
    staff : DataFrame or Staffing
        Posts and their grids, as :meth:`gridpart.redraw.Changes.staff` takes them: the effects
        say whose patch changes.
    scheme : str, path or Scheme
        What the plan's codes are made of, if it is not ``unit-grid`` or that of its register.
    register : Register
        Where codes are issued and retired, instead of counting on from those in the plan.
    at : datetime or str
        When, for the register.
    """

    force: bool
    reason: str
    staff: Any
    scheme: Any
    register: Register | None
    at: Any


@dataclass(frozen=True, eq=False, repr=False)
class Edit:
    """A hand edit: the plan after it, and what it does.

    Attributes
    ----------
    plan, before : Plan
        After and before.
    sentence : str
        What was done.
    effects : DataFrame
        One row for every rule and grid concerned: ``rule`` (``band``, ``bounds``,
        ``connectivity``, ``barriers``, ``max_diameter_m``, ``community``, ``exclusive``,
        ``locked``, ``compound``, the name of a lower level, ``codes``, ``staff``), ``grid``,
        ``before``, ``after``, ``verdict`` (``kept``, ``better``, ``still outside``, ``broken``;
        of codes ``new`` and ``retired``; of staff ``changed``) and ``text``.
    broken : tuple of Problem
        Rules that it breaks, with the sentences; empty unless it was forced.
    """

    plan: Plan
    before: Plan
    sentence: str
    effects: pd.DataFrame
    broken: tuple[Problem, ...]

    @cached_property
    def changes(self) -> Changes:
        """The change table of this edit."""
        return change_table(self.before, self.plan, by="name")

    def __repr__(self) -> str:
        lines = [f"<Edit: {self.sentence}"]
        told = self.effects[self.effects["verdict"] != "kept"]
        lines += [f"  {row['verdict']:<13} {row['text']}" for _, row in told.iterrows()]
        kept = sorted(set(self.effects["rule"]) - set(told["rule"]))
        if kept:
            lines.append(f"  kept          {', '.join(kept)}")
        return "\n".join(lines) + ">"


# ---------------------------------------------------------------- the four edits


def move(plan: Plan, units: Any, to: str, **options: Unpack[EditOptions]) -> Edit:
    """Move units to another grid.

    Parameters
    ----------
    plan : Plan
    units : id or iterable of ids
        Units by their ids (by their index where the plan has no column of ids).
    to : str
        Name or code of the grid.
    **options
        ``force``, ``reason``, ``staff``, ``scheme``, ``register``, ``at``; see
        :class:`gridpart.redraw.EditOptions`.

    Returns
    -------
    Edit
        All grids keep their names and codes; one that has given its last unit is retired.

    Raises
    ------
    InputError
        If a unit or grid is unknown, a unit is in the grid already, or a rule breaks: the message
        names every broken rule with the grid and its households.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> plan = gp.partition(units, low=200, high=400, n_grids=2)
    >>> move(plan, 2, "G002").plan.grids["households"].tolist()
    [200, 400]
    >>> move(plan, [0, 1], "G002")
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: grid G001 would have 100 households, 100 fewer than 200
    grid G002 would have 500 households, 100 more than 400
    grid G002 would be in 2 parts: 200 households in 2 units (0, 1) lie apart
    nothing was changed; with force=True it is done all the same
    """
    places = places_of(plan, units)
    target = grid_of(plan, to)
    labels = labels_of(plan)
    there = [called(plan, place) for place in places if labels[place] == target]
    if there:
        raise InputError(Problem("already_there", f"units are in grid {target} already",
                                 tuple(f"unit {name}" for name in there)))  # fmt: skip
    after = labels.copy()
    after[places] = target
    sources = ", ".join(sorted(set(labels[places])))
    sentence = f"moved {told(plan, places)} from {sources} to {target}"
    return _finish(plan, "move", after, {}, sentence, options)


def split(
    plan: Plan,
    grid: str,
    groups: Iterable[Iterable[Hashable]] | None = None,
    *,
    into: int = 2,
    **options: Unpack[EditOptions],
) -> Edit:
    """Split a grid.

    Parameters
    ----------
    plan : Plan
    grid : str
        Its name or code.
    groups : iterable of iterables of ids, optional
        Units of the new grids; what no group names is one more. By default the engine finds the
        groups, by the rules of the plan.
    into : int, default 2
        How many grids, if no groups are given.
    **options
        See :func:`move`.

    Returns
    -------
    Edit
        The parts have new names and codes, the old code is retired.

    Raises
    ------
    InputError
        If the grid or a unit is unknown, a unit is in two groups or in none of this grid, there
        is only one group, no division is found, or a rule breaks.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> plan = gp.partition(units, low=200, high=600, n_grids=1)
    >>> split(plan, "G001").plan.grids[["grid", "households"]].values.tolist()
    [['G002', 300], ['G003', 300]]
    """
    name = grid_of(plan, grid)
    labels = labels_of(plan)
    own = np.flatnonzero(labels == name)
    if groups is None:
        part = found_groups(plan, name, own, into)
    else:
        part = given_groups(plan, name, own, groups)
    serials = Serials(plan, scheme_of(plan, options.get("scheme")))
    community = community_of(plan, own)
    # from the north-west on, as names are given elsewhere
    order = in_order(plan.units.iloc[own], part)
    after, origins = labels.copy(), {}
    for number in order:
        fresh = serials.new_name(community)
        after[own[part == number]] = fresh
        origins[fresh] = (name,)
    sentence = f"split {name} into {', '.join(origins)}"
    return _finish(plan, "split", after, origins, sentence, options, serials)


def merge(plan: Plan, grids: Iterable[str], **options: Unpack[EditOptions]) -> Edit:
    """Merge grids into one.

    Parameters
    ----------
    plan : Plan
    grids : iterable of str
        Names or codes, two or more.
    **options
        See :func:`move`.

    Returns
    -------
    Edit
        The one grid has a new name and code, the old codes are retired.

    Raises
    ------
    InputError
        If a grid is unknown, there are not two, or a rule breaks.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> plan = gp.partition(units, low=200, high=600, n_grids=2)
    >>> merge(plan, ["G001", "G002"]).plan.grids[["grid", "households"]].values.tolist()
    [['G003', 600]]
    """
    given = [grids] if isinstance(grids, str) else list(grids)
    names = list(dict.fromkeys(grid_of(plan, grid) for grid in given))
    if len(names) < 2:
        raise InputError(f"two grids or more are merged, got {', '.join(names) or 'none'}")
    labels = labels_of(plan)
    own = np.flatnonzero(np.isin(labels, names))
    serials = Serials(plan, scheme_of(plan, options.get("scheme")))
    fresh = serials.new_name(community_of(plan, own))
    after = labels.copy()
    after[own] = fresh
    sentence = f"merged {', '.join(names)} into {fresh}"
    return _finish(plan, "merge", after, {fresh: tuple(names)}, sentence, options, serials)


def swap(plan: Plan, units_a: Any, units_b: Any, **options: Unpack[EditOptions]) -> Edit:
    """Exchange units between two grids.

    Parameters
    ----------
    plan : Plan
    units_a, units_b : id or iterable of ids
        Units of one grid, and units of another.
    **options
        See :func:`move`.

    Returns
    -------
    Edit
        Both grids keep their names and codes.

    Raises
    ------
    InputError
        If a unit is unknown, the units are not of one grid each, or a rule breaks.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(4)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 4}, geometry=cells, crs="EPSG:4547")
    >>> plan = gp.partition(units, low=200, high=300, n_grids=2)
    >>> edit = swap(plan, 0, 3, force=True, reason="as the residents asked")
    >>> edit.plan.exceptions[["grid", "reason"]].values.tolist()
    [['G001', 'by_hand'], ['G002', 'by_hand']]
    """
    labels = labels_of(plan)
    places = [places_of(plan, units) for units in (units_a, units_b)]
    homes = [sorted(set(labels[own])) for own in places]
    if any(len(home) != 1 for home in homes) or homes[0] == homes[1]:
        got = " and ".join(", ".join(home) for home in homes)
        raise InputError(f"units of one grid are exchanged for units of another, got {got}")
    (a,), (b,) = homes
    after = labels.copy()
    after[places[0]], after[places[1]] = b, a
    both = " for ".join(told(plan, own) for own in places)
    sentence = f"exchanged {both} between {a} and {b}"
    return _finish(plan, "swap", after, {}, sentence, options)


# ---------------------------------------------------------------- from new labels to an edit


def _finish(
    plan: Plan,
    verb: str,
    after: Objects,
    origins: Mapping[str, tuple[str, ...]],
    sentence: str,
    options: EditOptions,
    serials: Serials | None = None,
) -> Edit:
    """Check the rules, and make the plan."""
    before = labels_of(plan)
    serials = serials or Serials(plan, scheme_of(plan, options.get("scheme")))
    moved = np.flatnonzero(before != after)
    names = {*before[moved], *after[moved]}
    rows = np.flatnonzero(np.isin(before, list(names)) | np.isin(after, list(names)))
    coded = serials.scheme is not None
    touched = Touched(
        plan, rows, before[rows], after[rows], origins, serials.parent_of if coded else str
    )
    effects = check_edit(touched)
    broken = _broken(effects)
    if broken and not options.get("force"):
        advice = Problem("refused", "nothing was changed; with force=True it is done all the same")
        raise InputError([*broken, advice])
    edited = _edited(plan, touched, after, serials, effects, options.get("reason", ""), sentence)
    register = options.get("register")
    if register is not None:
        why = options.get("reason") or sentence
        at = options.get("at")
        with recording(plan, edited, register, reason=why, at=at, kind=verb) as known:
            edited = known
    effects += _code_effects(plan, edited, touched)
    edit = Edit(edited, plan, sentence, as_table(effects), broken)
    if options.get("staff") is not None:
        effects += _staff_effects(edit, options["staff"])
        edit = dataclasses.replace(edit, effects=as_table(effects))
    return edit


def _broken(effects: Iterable[Effect]) -> tuple[Problem, ...]:
    """One problem for every broken rule, with the sentences."""
    return tuple(
        Problem(effect.rule, effect.text) for effect in effects if effect.verdict == BROKEN
    )


def _edited(
    plan: Plan,
    touched: Touched,
    after: Objects,
    serials: Serials,
    effects: Sequence[Effect],
    reason: str,
    sentence: str,
) -> Plan:
    """The plan with new labels; what the edit does not touch is taken over as it is."""
    units = plan.units.copy(deep=False)  # columns are replaced here, never written into
    units["grid"] = pd.Series(after, units.index).astype(plan.units["grid"].dtype)
    ended = sorted(set(touched.before) - set(touched.after))
    trail = json.loads(plan.provenance.get(EDITS_KEY) or "[]")
    divisions = divide_areas(plan, units, touched.rows, serials)
    serials.finish(units, ended, touched.origins, _parents(plan, units, ended, touched, serials))
    exceptions = exceptions_after(touched, effects, reason)
    edited = dataclasses.replace(
        plan,
        units=units,
        exceptions=exceptions_below(plan, units, exceptions, divisions, reason),
        provenance={
            **plan.provenance,
            **serials.facts(),
            EDITS_KEY: json.dumps(
                [*trail, f"{sentence} ({reason})" if reason else sentence], ensure_ascii=False
            ),
        },
        _contiguity=plan.contiguity,
    )
    if "grids" in vars(plan):
        vars(edited)["grids"] = _grids_after(plan, edited, touched)
    return edited


def _parents(
    plan: Plan, units: gpd.GeoDataFrame, ended: Sequence[str], touched: Touched, serials: Serials
) -> Parents | None:
    """Where new grids are numbered, if they come from several communities: that of most of them.

    None where there is but one: then that of any grid they come from is right.
    """
    column = plan.rules.parent
    if column is None or serials.scheme is None:
        return None
    names, homes = plan.units["grid"].to_numpy(), plan.units[column].to_numpy(object)
    within = dict(zip(names, homes, strict=True))
    if all(len({within[grid] for grid in sources}) == 1 for sources in touched.origins.values()):
        return None
    kept = set(serials.code_of) - set(ended)
    after = dataclasses.replace(plan, units=units, _contiguity=plan.contiguity)
    return Parents(plan, serials.scheme, serials.code_of, after, kept)


def _grids_after(plan: Plan, edited: Plan, touched: Touched) -> gpd.GeoDataFrame:
    """Grids of the edited plan: only those that were touched are dissolved."""
    old = plan.grids
    own = edited.replace(units=edited.units.iloc[touched.rows]).grids
    rest = old[~old["grid"].isin(set(touched.before) | set(touched.after))]
    both: gpd.GeoDataFrame = pd.concat([rest, own], ignore_index=True)
    return both.sort_values("grid", ignore_index=True, kind="stable")


def _code_effects(plan: Plan, edited: Plan, touched: Touched) -> list[Effect]:
    """Codes that go on, begin and end."""
    if "grid_code" not in plan.units.columns:
        return []

    def codes(of: Plan, labels: Objects) -> dict[str, str]:
        values = of.units["grid_code"].to_numpy(object)[touched.rows]
        return {g: c for g, c in zip(labels, values, strict=True) if isinstance(c, str)}

    was, now = codes(plan, touched.before), codes(edited, touched.after)
    effects = []
    for grid in sorted({*was, *now}):
        old, new = was.get(grid, ""), now.get(grid, "")
        verdict = "kept" if old == new else "new" if not old else "retired"
        text = {
            "kept": f"grid {grid} keeps {old}",
            "new": f"grid {grid} gets the new code {new}",
            "retired": f"the code {old} of grid {grid} is retired",
        }[verdict]
        effects.append(Effect("codes", grid, old, new, verdict, text))
    for level in plan.rules.lower_levels:
        if f"{level}_code" in plan.units.columns:
            effects += _codes_below(plan, edited, level)
    return effects


def _codes_below(plan: Plan, edited: Plan, level: str) -> list[Effect]:
    """Codes of a lower level that begin and end, counted: a split of one grid changes dozens."""
    was, now = (set(of.units[f"{level}_code"].dropna()) for of in (plan, edited))
    effects = []
    for verdict, codes in (("retired", sorted(was - now)), ("new", sorted(now - was))):
        if codes:
            span = codes[0] if len(codes) == 1 else f"{codes[0]} to {codes[-1]}"
            text = f"codes of the level {level}: {len(codes)} {verdict}, {span}"
            old, new = (span, "") if verdict == "retired" else ("", span)
            effects.append(Effect("codes", "", old, new, verdict, text))
    return effects


def _staff_effects(edit: Edit, posts: Any) -> list[Effect]:
    """Posts whose patch changes."""
    effects = []
    for _, post in edit.changes.staff(posts).iterrows():
        was, now = f"{post['households_before']:,}", f"{post['households_after']:,}"
        text = f"post {post['post_id']} has {now} households, before {was}"
        text += f"; gone {post['gone']}" if post["gone"] else ""
        text += f"; to be given {post['added']}" if post["added"] else ""
        effects.append(Effect("staff", post["grids_before"], was, now, "changed", text))
    return effects
