"""Checks of the codes that zones carry: form, parent, uniqueness, order, and the register."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart.codes import Scheme, load_scheme
from gridpart.coverage.findings import Finding
from gridpart.coverage.scene import Scene, column_of
from gridpart.coverage.texts import as_text
from gridpart.errors import InputError, Problem

__all__ = ["check_codes", "check_register", "zone_codes"]

# Part of a row within which a zone may have been on the other side of the line.
ROW_LINE = 0.1
ROW_HEIGHTS = (1.0, 0.8, 0.9, 1.1, 1.25)
CLEARLY = 2  # zones fewer
ROW_STARTS = (0.0, 0.25, 0.5, 0.75)


def zone_codes(scene: Scene, column: str) -> list[str]:
    """Codes of the zones as text; empty where there is none."""
    return [as_text(value) for value in column_of(scene.zones.frame, column, "zones")]


def check_codes(
    scene: Scene, code: str, parent: str | None, scheme: Scheme | None = None
) -> Iterator[Finding]:
    """Run every check of grid codes by themselves, by the scheme they follow."""
    scheme = load_scheme("unit-grid") if scheme is None else scheme
    column = column_of(scene.zones.frame, code, "zones")
    codes = zone_codes(scene, code)
    yield from _code_missing(scene, codes)
    yield from _code_duplicate(scene, codes)
    yield from _code_number(scene, codes, list(column))
    yield from _code_malformed(scene, codes, list(column), scheme)
    parents = None if parent is None else _parents(scene, parent)
    if parents is not None:
        yield from _code_wrong_parent(scene, codes, parents)
    yield from _code_serial_order(scene, codes, parents, scheme)


def _code_missing(scene: Scene, codes: list[str]) -> Iterator[Finding]:
    for row, code in enumerate(codes):
        if not code:
            name = scene.zones.ids[row]
            shape = scene.zones.polygons[row]
            yield Finding("code_missing", f"zone {name} has no code", (name,), shape)


def _code_duplicate(scene: Scene, codes: list[str]) -> Iterator[Finding]:
    named = pd.Series(codes)
    named = named[named != ""]
    for code, rows in named[named.duplicated(keep=False)].groupby(named).groups.items():
        names = scene.zones.named(list(rows))
        shape = shapely.union_all(scene.zones.polygons[list(rows)])
        message = f"code {code} is carried by {len(rows)} zones: {', '.join(names)}"
        yield Finding("code_duplicate", message, names, shape, n=len(rows) - 1)


def _code_number(scene: Scene, codes: list[str], values: list[Any]) -> Iterator[Finding]:
    """Codes that are numbers share one cause, and are one row."""
    pairs = enumerate(zip(codes, values, strict=True))
    rows = [row for row, (code, value) in pairs if code and not isinstance(value, str)]
    if rows:
        yield Finding(
            "code_number",
            f"codes stored as numbers, not text, so that leading zeros are lost: {len(rows)}, "
            f"such as {codes[rows[0]]}",
            scene.zones.named(rows),
            shapely.union_all(scene.zones.polygons[rows]),
            n=len(rows),
        )


def _code_malformed(
    scene: Scene, codes: list[str], values: list[Any], scheme: Scheme
) -> Iterator[Finding]:
    for row, (code, value) in enumerate(zip(codes, values, strict=True)):
        reason = scheme.check(code) if code and isinstance(value, str) else None
        if reason is not None:
            name = scene.zones.ids[row]
            shape = scene.zones.polygons[row]
            yield Finding("code_malformed", f"zone {name}: code {code} {reason}", (name,), shape)


def _parents(scene: Scene, parent: str) -> list[str]:
    """Parent code of each zone: of a column, or one for all."""
    frame = scene.zones.frame
    if parent in frame.columns:
        return [as_text(value) for value in frame[parent]]
    return [str(parent)] * len(frame)


def _code_wrong_parent(scene: Scene, codes: list[str], parents: list[str]) -> Iterator[Finding]:
    for row, (code, parent) in enumerate(zip(codes, parents, strict=True)):
        if code and parent and not code.startswith(parent):
            name = scene.zones.ids[row]
            message = f"zone {name}: code {code} does not begin with its parent {parent}"
            yield Finding("code_wrong_parent", message, (name,), scene.zones.polygons[row])


# --------------------------------------------------------------------------- order


def _code_serial_order(
    scene: Scene, codes: list[str], parents: list[str] | None, scheme: Scheme
) -> Iterator[Finding]:
    """Zones whose serials break the order in rows from the north-west; one row a parent.

    Kinds of grids with serials of their own are in an order of their own. A zone without a good
    code takes part in what the rows are: it had one when they were cut.
    """
    shapes, area = scene.zones.polygons, shapely.area(scene.zones.polygons)
    serial = [scheme.serial_of(code) if scheme.check(code) is None else None for code in codes]
    good = np.array([number is not None for number in serial], dtype=bool) & (area > 0)
    prefix = np.array([_parent_part(code, scheme) for code in codes], dtype=object)
    series = np.array([_series(code, scheme) for code in codes], dtype=object)
    ground = prefix if parents is None else np.array(parents, dtype=object)
    # under another's parent a code is wrong, and its serial tells nothing
    good &= (ground == "") | (ground == prefix)
    for parent, kind in sorted(set(zip(prefix[good], series[good], strict=True))):
        rows = np.flatnonzero(good & (prefix == parent) & (series == kind))
        lot = np.union1d(rows, np.flatnonzero((ground == parent) & (area > 0)))
        serials = np.array([serial[row] for row in rows], dtype=np.int64)
        east, north = shapely.get_coordinates(shapely.centroid(shapes[lot])).T
        at = np.column_stack([east, north.max() - north])[np.searchsorted(lot, rows)]
        height = float(np.sqrt(area[lot].mean()))
        astray = _astray(serials, at, height)
        if astray.any():
            names = tuple(sorted(scene.zones.named(rows[astray])))
            shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            yield Finding(
                "code_serial_order",
                f"serials under {parent} out of order: {len(names)} of {len(rows)} ({shown})",
                names,
                shapely.union_all(shapes[rows[astray]]),
                n=len(names),
            )


def _parent_part(code: str, scheme: Scheme) -> str:
    """What stands before the serial of a code; of one that is no code, the usual length of it."""
    level = scheme.level_of(code)
    return code[: scheme.parent_width(None if level is None else level.name)]


def _series(code: str, scheme: Scheme) -> str:
    """Kind of grid in whose range the serial of a code lies."""
    level, serial = scheme.level_of(code), scheme.serial_of(code)
    return "" if level is None or serial is None else level.series_with(serial) or ""


def _astray(
    serials: NDArray[np.int64], at: NDArray[np.float64], height: float
) -> NDArray[np.bool_]:
    """Mark the fewest zones that have to be left out for the rest to be in order.

    Rows begin at the northernmost zone and are as high as a mean zone, so they move when a zone is
    added, lost or redrawn. Rows that begin elsewhere or are a little higher or lower count instead
    where they explain clearly more; and what a shift of the rows may explain is not told. `at` is
    in metres to the east, and to the south of the northernmost zone.
    """
    astray = _out_of_rows(serials, at, height, 0.0)
    if not astray.any():
        return astray
    if 2 * astray.sum() < len(serials):  # else it is another order, or none
        trials = [(height * scale, start) for scale in ROW_HEIGHTS for start in ROW_STARTS]
        outcomes = [_out_of_rows(serials, at, *trial) for trial in trials]
        best = min(range(len(trials)), key=lambda k: int(outcomes[k].sum()))
        if outcomes[best].sum() + CLEARLY <= astray.sum():
            astray, height = outcomes[best], trials[best][0]
    return astray & _clearly_inverted(serials, at, height)


def _out_of_rows(
    serials: NDArray[np.int64], at: NDArray[np.float64], height: float, start: float
) -> NDArray[np.bool_]:
    """Mark what is out of order in rows of a height, the first of which is cut by a part."""
    row = np.floor(at[:, 1] / height + start)
    order = np.lexsort((at[:, 1], at[:, 0], row))
    astray = np.zeros(len(serials), dtype=bool)
    astray[order] = ~_in_order(serials[order].tolist())
    return astray


def _in_order(values: list[int]) -> NDArray[np.bool_]:
    """Mark a longest subsequence that does not decrease (Fredman, 1975)."""
    tails: list[int] = []  # last value of the best subsequence of each length
    at: list[int] = []
    before = [-1] * len(values)
    for k, value in enumerate(values):
        place = bisect_left(tails, value + 1)
        before[k] = at[place - 1] if place else -1
        if place == len(tails):
            tails.append(value)
            at.append(k)
        else:
            tails[place], at[place] = value, k
    kept = np.zeros(len(values), dtype=bool)
    k = at[-1] if at else -1
    while k >= 0:
        kept[k] = True
        k = before[k]
    return kept


def _clearly_inverted(
    serials: NDArray[np.int64], at: NDArray[np.float64], height: float
) -> NDArray[np.bool_]:
    """Mark zones with a serial on the wrong side of another's, wherever the rows begin."""
    x, depth = at[:, 0], at[:, 1] / height
    # place a before place b: farther north by more than a row, or north-west of it, which stands
    # first whether the line between two rows runs between them or not
    north = depth[:, None] + 1 + ROW_LINE < depth[None, :]
    corner = (depth[:, None] <= depth[None, :]) & (x[:, None] < x[None, :])
    inverted = (north | corner) & (serials[:, None] > serials[None, :])
    marked: NDArray[np.bool_] = np.asarray(inverted.any(axis=0) | inverted.any(axis=1))
    return marked


# --------------------------------------------------------------------------- register


def check_register(
    scene: Scene, codes: list[str], register: pd.DataFrame, scheme: Scheme | None = None
) -> Iterator[Finding]:
    """Hold the zones' codes against a table of the codes ever issued.

    Parameters
    ----------
    scene : Scene
    codes : list of str
        Of the zones.
    register : DataFrame
        Columns ``code`` and, if some are no longer live, ``state``: a word that the register of
        codes takes for live or retired, or nothing, which is live.
    scheme : Scheme, optional
        Of the codes. Those of other levels than the zones' are passed over.

    Raises
    ------
    InputError
        If a state is neither a word for live nor one for retired.
    """
    issued = [as_text(value) for value in column_of(register, "code", "register")]
    state = dict(zip(issued, _states(register, issued), strict=True))
    for row, code in enumerate(codes):
        if not code or state.get(code) is True:
            continue
        name, shape = scene.zones.ids[row], scene.zones.polygons[row]
        if code in state:
            yield Finding("code_retired", f"zone {name}: code {code} is retired", (name,), shape)
        else:
            text = f"zone {name}: code {code} is not in the register"
            yield Finding("code_unregistered", text, (name,), shape)
    scheme = load_scheme("unit-grid") if scheme is None else scheme
    carried, lengths = set(codes), {len(code) for code in codes if code}
    parents = {_parent_part(code, scheme) for code in codes if code}
    unused = sorted(
        code
        for code, live in state.items()
        if live
        and code not in carried
        and len(code) in lengths
        and _parent_part(code, scheme) in parents
    )
    if unused:
        shown = ", ".join(unused[:6]) + (", ..." if len(unused) > 6 else "")
        text = f"live codes of the register that no zone carries: {len(unused)} ({shown})"
        yield Finding("code_unused", text, tuple(unused), n=len(unused))


def _states(register: pd.DataFrame, codes: list[str]) -> list[bool]:
    """Whether each code of a register is live."""
    if "state" not in register.columns:
        return [True] * len(codes)
    # here, for who only checks codes does not wait for a database
    from gridpart.codes.adopting import STATES

    words = [as_text(value).lower() for value in register["state"]]
    wrong = [
        f"code {code}: {word!r}"
        for code, word in zip(codes, words, strict=True)
        if word not in STATES
    ]
    if wrong:
        text = f"register: a state must be one of {', '.join(filter(None, STATES))}"
        raise InputError(Problem("bad_state", text, tuple(wrong)))
    return [STATES[word] == STATES["live"] for word in words]
