"""The posts whose patch changed between two plans."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import pandas as pd

from gridpart.errors import InputError, Problem

__all__ = ["changed_patches"]


def changed_patches(grids: pd.DataFrame, pairs: pd.DataFrame, posts: pd.DataFrame) -> pd.DataFrame:
    """Find the posts whose ground is not what it was; see :meth:`Changes.staff`.

    Parameters
    ----------
    grids, pairs : DataFrame
        Of :class:`Changes`.
    posts : DataFrame
        Columns ``post_id``, ``grid`` and, if known, ``role``.

    Returns
    -------
    DataFrame
        In the order of `posts`.

    Raises
    ------
    InputError
        If a column is missing, or a grid is none of the old plan.
    """
    missing = [name for name in ("post_id", "grid") if name not in posts.columns]
    if missing:
        there = ", ".join(map(str, posts.columns))
        raise InputError(f"the posts have no column {' and '.join(missing)}; they have: {there}")
    held = posts[posts["grid"].notna()]
    rows = _rows_of(held["grid"].astype(str), grids)
    heirs = _heirs(grids, pairs)
    table = []
    keys = ["post_id", "role"] if "role" in posts.columns else ["post_id"]
    for key, places in pd.Series(rows, index=held.index).groupby(
        [held[name].astype(str) for name in keys], sort=False
    ):
        row = _patch(grids, list(dict.fromkeys(places)), heirs)
        if row is not None:
            names = key if isinstance(key, tuple) else (key,)
            table.append({**dict(zip(keys, names, strict=True)), **row})
    columns = [*keys, *COLUMNS]
    return pd.DataFrame(table, columns=columns).astype(dict.fromkeys(COLUMNS[3:], "int64"))


COLUMNS = (
    "grids_before", "gone", "added", "households_before", "households_after", "came", "left",
)  # fmt: skip


def _rows_of(names: pd.Series, grids: pd.DataFrame) -> list[int]:
    """Row of every grid by its old name, or by its old code."""
    known: dict[str, int] = {}
    for column in ("old_code", "old_grid"):
        there = grids[column].notna().to_numpy()
        for row in there.nonzero()[0]:
            known[str(grids[column].iloc[row])] = int(row)
    unknown = sorted({name for name in names if name not in known})
    if unknown:
        bad = tuple(f"{name}{_near(name, known)}" for name in unknown)
        raise InputError(Problem("unknown_grid", "posts hold grids that the old plan has not", bad))
    return [known[name] for name in names]


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _heirs(grids: pd.DataFrame, pairs: pd.DataFrame) -> dict[Any, list[int]]:
    """For every retired grid, the new grids that have most of their households from it."""
    row_of = {name: row for row, name in enumerate(grids["new_grid"]) if pd.notna(name)}
    fresh = set(grids.loc[grids["status"] == "new", "new_grid"])
    parts = pairs[pairs["new_grid"].isin(fresh)]
    parts = parts.sort_values(["new_grid", "share_of_new"], ascending=[True, False], kind="stable")
    heirs: dict[Any, list[int]] = {}
    for _, pair in parts.drop_duplicates("new_grid").iterrows():
        heirs.setdefault(pair["old_grid"], []).append(row_of[pair["new_grid"]])
    return heirs


def _patch(
    grids: pd.DataFrame, rows: list[int], heirs: dict[Any, list[int]]
) -> dict[str, Any] | None:
    """What became of the patch of a post; None if its ground is what it was."""
    own = grids.iloc[rows]
    drawn = (own["change"] != "U") | (own["status"] == "retired")
    if not (drawn | (own["built"] + own["cleared"] > 0)).any():
        return None
    ended = own["status"] == "retired"
    added = [row for name in own.loc[ended, "old_grid"] for row in heirs.get(name, ())]
    after = pd.concat([own[~ended], grids.iloc[added]])

    def named(frame: pd.DataFrame, side: str) -> str:
        codes = frame[f"{side}_code"]
        return ", ".join(map(str, codes.where(codes.notna(), frame[f"{side}_grid"])))

    return {
        "grids_before": named(own, "old"),
        "gone": named(own[ended], "old"),
        "added": named(grids.iloc[added], "new"),
        "households_before": int(own["before"].sum()),
        "households_after": int(after["after"].sum()),
        "came": int(after["came"].sum()),
        "left": int(own["left"].sum()),
    }
