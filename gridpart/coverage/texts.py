"""Columns of texts without a text for every row: ids are read when named, the rest repeats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Names", "Texts", "as_text", "joined"]


def as_text(value: Any) -> str:
    """Write an id or code as text: empty if missing, whole numbers without a decimal point."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def joined(ids: Iterable[str]) -> str:
    """Ids in one text, parted by ``;``. One inside an id becomes the full-width ``；``.

    Examples
    --------
    >>> joined(["a;b", "c"])
    'a；b;c'
    """
    return ";".join(name.replace(";", "；") for name in ids)


class Names:
    """Ids as text, made when they are asked for: most units of a city are never named.

    Parameters
    ----------
    values : Series or Index
        The ids as the caller has them.

    Examples
    --------
    >>> Names(pd.Series([7.0, None]))[0]
    '7'
    """

    def __init__(self, values: pd.Series | pd.Index) -> None:
        self._values = values
        self._at: Any = values.iloc if isinstance(values, pd.Series) else values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, row: SupportsIndex) -> str:
        return as_text(self._at[row])


@dataclass(frozen=True, eq=False)
class Texts:
    """A column in which texts repeat.

    Parameters
    ----------
    names : list of str
        The distinct ones, sorted; a missing value is the empty text.
    codes : (n,) array of int
        Which of them each row has.

    Examples
    --------
    >>> texts = Texts.of(pd.Series(["b", None, "a", "b "]))
    >>> texts.names, texts.codes.tolist(), texts[3]
    (['', 'a', 'b'], [2, 0, 1, 2], 'b')
    """

    names: list[str]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, column: pd.Series) -> Texts:
        """Read a column."""
        plain = isinstance(column.dtype, pd.StringDtype) or pd.api.types.is_numeric_dtype(column)
        if not plain:  # any objects: equal ones need not read the same, as 1 and True
            column = pd.Series([as_text(value) for value in column], dtype=object)
        codes, values = pd.factorize(column)
        # what is missing has the code -1, the last
        texts = np.array([*map(as_text, values), ""], dtype=object)
        names, which = np.unique(texts, return_inverse=True)
        return cls(names.tolist(), which.reshape(-1).astype(np.int64)[codes])

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: SupportsIndex) -> str:
        return self.names[self.codes[row]]

    def code(self, name: str) -> int:
        """The code of a text; -1 where no row has it."""
        at = int(np.searchsorted(np.array(self.names, dtype=object), name)) if self.names else 0
        return at if at < len(self.names) and self.names[at] == name else -1

    def counts(
        self, groups: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """How many rows of each group have each text; empty texts and groups below 0 left out.

        Parameters
        ----------
        groups : (n,) array of int
            Of each row.
        rows : array of int, optional
            Rows to count; a row that is named twice counts twice. By default each once.

        Returns
        -------
        group, code, count : (k,) arrays of int
            By group, then by text.
        """
        codes = self.codes if rows is None else self.codes[rows]
        blank = self.code("")
        kept = (groups >= 0) & (codes != blank)
        pairs, count = np.unique(groups[kept] * len(self.names) + codes[kept], return_counts=True)
        group, code = np.divmod(pairs, max(len(self.names), 1))
        return group, code, count
