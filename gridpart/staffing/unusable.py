"""What of a roster is not used, and why: every row and every grid, none unsaid."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import pandas as pd

from gridpart.staffing.headers import LINE, SHEET, texts_in
from gridpart.staffing.locate import Found

__all__ = ["GOES_ON", "GRIDLESS", "NO_POSTS", "listed_problems", "unusable_table"]

UNUSABLE = [LINE, "post_id", "reason", "text"]
# Rows that no officer takes for a post: they stop nothing, and are told all the same.
NO_POSTS = {
    "total_row": "a sum, a remark or a signature, not a post",
    "header_row": "the header once more, not a post",
}
# What costs a post a grid that it holds today, and not its row: people do not go with their grid.
GRIDLESS = frozenset({"retired_grid", "unknown_grid"})
GOES_ON = "; the post goes on without it"


def listed_problems(
    found: Iterable[Found],
    roster: pd.DataFrame,
    positions: Sequence[int],
    bad: Container[int] = frozenset(),
) -> list[tuple[int, Any, str | None, str, str]]:
    """Position, label, post, kind and words of every problem."""
    posts = texts_in(roster, "post_id")
    listed = []
    for kind, message, places in found:
        for row, detail in places:
            kept = kind in GRIDLESS and row not in bad
            ending = GOES_ON if kept else ""
            post = None if kind in NO_POSTS else posts[row]
            text = f"{message}{detail}{ending}"
            listed.append((positions[row], roster.index[row], post, kind, text))
    return listed


class _Kept(pd.DataFrame):  # type: ignore[misc]  # pandas has no inline types
    """A table that stays the same object where pandas copies the attributes of another.

    Pandas does so with every row taken from a roster, and compares them when rows are put
    together again, which it cannot with tables that are equal and not the same.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> _Kept:
        return self

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame


def unusable_table(
    listed: Sequence[tuple[int, Any, str | None, str, str]], before: Any, *, sheets: bool
) -> pd.DataFrame:
    """A row for every problem, after those of an earlier check."""
    labels = [one[1] for one in listed]
    table: dict[str, pd.Series] = {}
    if sheets:
        table[SHEET] = pd.Series([sheet for sheet, _ in labels], dtype=object)
        labels = [line for _, line in labels]
    table[LINE] = pd.Series(labels)
    for k, name in enumerate(UNUSABLE[1:], start=2):
        table[name] = pd.Series([one[k] for one in listed], dtype=object)
    now = pd.DataFrame(table)
    if not isinstance(before, _Kept) or before.empty:
        return _Kept(now)
    return _Kept(before if now.empty else pd.concat([before, now], ignore_index=True))
