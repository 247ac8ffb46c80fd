"""Which grids touch, along how many millimetres: what makes several grids one beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from gridpart.errors import InputError, Problem
from gridpart.staffing.headers import plain_text
from gridpart.staffing.locate import GridTable

if TYPE_CHECKING:
    from gridpart.plan import Plan

__all__ = ["Neighbours", "grids_of", "neighbours_of"]

IntArray = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Grids in the order of a :class:`GridTable`: who touches whom, and where they lie.

    Attributes
    ----------
    indptr, indices, borders : ndarray of int64
        Compressed rows; shared borders in millimetres, those that a barrier closes left out.
    x, y : ndarray of int64, shape (n,)
        A point of each grid in millimetres; zeros where the grids have no geometry.
    """

    indptr: IntArray
    indices: IntArray
    borders: IntArray
    x: IntArray
    y: IntArray

    def among(self, members: IntArray) -> Neighbours:
        """The same for some of the grids, in the order given."""
        matrix = csr_array((self.borders, self.indices, self.indptr), shape=(self.x.size,) * 2)
        own = matrix[members][:, members].tocsr()
        own.sort_indices()
        return Neighbours(
            own.indptr.astype(np.int64), own.indices.astype(np.int64),
            own.data.astype(np.int64), self.x[members], self.y[members],
        )  # fmt: skip

    def regions(self) -> list[IntArray]:
        """Positions of every connected set of grids, in order of their first grids."""
        n = self.x.size
        matrix = csr_array((np.ones(self.indices.size), self.indices, self.indptr), shape=(n, n))
        count, label = connected_components(matrix, directed=False)
        order = np.argsort(label, kind="stable")
        ends = np.searchsorted(label[order], np.arange(count + 1))
        found = [order[ends[k] : ends[k + 1]].astype(np.int64) for k in range(count)]
        return sorted(found, key=lambda members: int(members[0]))


def grids_of(grids: Plan | pd.DataFrame) -> pd.DataFrame:
    """The grids themselves: those of a plan, or the table as it is."""
    return grids if isinstance(grids, pd.DataFrame) else grids.grids


def neighbours_of(
    grids: Plan | pd.DataFrame, table: GridTable, given: pd.DataFrame | None = None
) -> Neighbours | None:
    """Find out who touches whom.

    Parameters
    ----------
    grids : Plan, GeoDataFrame or DataFrame
        A plan knows the borders of its units and its barriers; of a GeoDataFrame the borders are
        measured.
    table : GridTable
        Of the same grids; gives the order.
    given : DataFrame, optional
        Taken instead: columns `focal` and `neighbor` (ids or codes), optionally `border_m`.

    Returns
    -------
    Neighbours or None
        None where nothing says which grids touch.

    Raises
    ------
    InputError
        If `given` lacks a column, names unknown grids or has a border that is not above 0.
    CRSError
        If borders must be measured and the grids have no projected CRS in metres.
    """
    n = len(table.grid)
    frame = grids_of(grids)
    shapes = getattr(frame, "geometry", None) if hasattr(frame, "geom_type") else None
    x = y = np.zeros(n, np.int64)
    if shapes is not None:
        points = shapely.point_on_surface(shapes.to_numpy()[table.row])
        x, y = (
            np.rint(np.nan_to_num(axis(points)) * 1000).astype(np.int64)
            for axis in (shapely.get_x, shapely.get_y)
        )
    if given is not None:
        rows, columns, border = _of_table(given, table)
    elif frame is not grids:
        rows, columns, border = _of_plan(grids, table)
    elif shapes is not None:
        rows, columns, border = _of_shapes(shapes, table)
    else:
        return None
    apart = rows != columns
    ends = (rows[apart], columns[apart])
    matrix = coo_array((border[apart], ends), shape=(n, n)).tocsr()
    matrix.sort_indices()
    return Neighbours(
        matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
        matrix.data.astype(np.int64), x, y,
    )  # fmt: skip


_Entries = tuple[IntArray, IntArray, IntArray]


def _of_plan(plan: Any, table: GridTable) -> _Entries:
    position = {grid: k for k, grid in enumerate(table.grid)}
    of_unit = plan.units["grid"].astype(str).map(position).to_numpy(np.int64)
    graph = plan.contiguity
    open_ = np.ones(graph.indices.size, bool) if graph.closed is None else ~graph.closed
    rows, columns = of_unit[graph.rows[open_]], of_unit[graph.indices[open_]]
    return rows, columns, np.asarray(graph.lengths_mm, np.int64)[open_]


def _of_shapes(shapes: Any, table: GridTable) -> _Entries:
    from gridpart.contiguity import build_contiguity

    graph = build_contiguity(shapes.iloc[table.row].to_frame("geometry").set_geometry("geometry"))
    return graph.rows, graph.indices.astype(np.int64), np.asarray(graph.lengths_mm, np.int64)


def _of_table(given: pd.DataFrame, table: GridTable) -> _Entries:
    missing = {"focal", "neighbor"} - set(given.columns)
    if missing:
        names = " and ".join(sorted(missing))
        raise InputError(f"the table of neighbours has no column {names}")
    by_name = table.by_name
    ends = []
    unknown: list[str] = []
    for name in ("focal", "neighbor"):
        texts = [plain_text(value) for value in given[name].tolist()]
        unknown += [
            f"row {label}: {text!r}"
            for label, text in zip(given.index, texts, strict=True)
            if text not in by_name
        ]
        ends.append([by_name.get(str(text), 0) for text in texts])
    if unknown:
        text = "focal and neighbor must be ids or codes of grids"
        raise InputError(Problem("unknown_grid", text, tuple(unknown)))
    border = np.full(len(given), 1000, np.int64)
    if "border_m" in given.columns:
        metres = pd.to_numeric(given["border_m"], errors="coerce").to_numpy(float, na_value=np.nan)
        bad = np.flatnonzero(~(np.isfinite(metres) & (metres > 0)))
        if bad.size:
            told = [f"row {given.index[k]}: {given['border_m'].iloc[k]!r}" for k in bad]
            text = "border_m must be metres above 0; leave out grids that do not touch"
            raise InputError(Problem("border_m", text, tuple(told)))
        border = np.maximum(np.rint(metres * 1000), 1).astype(np.int64)
    once = coo_array((border, (ends[0], ends[1])), shape=(len(table.grid),) * 2).tocsr()
    both = csr_array(once.maximum(once.T)).tocoo()
    return both.row.astype(np.int64), both.col.astype(np.int64), both.data
