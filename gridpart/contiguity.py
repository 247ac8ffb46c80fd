"""Who touches whom, along how many millimetres.

Two units are neighbours when they share a border of some length (rook contiguity). In a clean
coverage a shared border is the same segment twice, once in the ring of each unit, so borders are
found by sorting segments, not by intersecting polygons:

1. every ring is cut into segments between whole-micrometre points;
2. segments that occur twice are matched (one sort over hashes, exactly verified);
3. the few that occur once (outer border, T-junctions, vertices that differ by less than the
   tolerance) are noded against each other's vertices and matched again;
4. micrometres are summed per pair as integers and rounded once, to millimetres.

All of it is array code, in three layers: :func:`build_contiguity` (frame, CRS, messages), and in
``_geometry.segments`` a positional one on geometry arrays above kernels on integer arrays.
``docs/decisions/0004-contiguity.md`` says why.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from gridpart._geometry.align import Misaligned, find_misaligned
from gridpart._geometry.segments import MICRO, Ints, Objects, finite, shared_borders
from gridpart.errors import CRSError, GridpartWarning, InputError, Problem

if TYPE_CHECKING:
    import geopandas as gpd
    from libpysal.graph import Graph

__all__ = ["Contiguity", "Misaligned", "build_contiguity", "find_misaligned", "is_metric"]

UM_PER_MM = 1000
MIN_TOLERANCE = 1e-6
SOME_BORDERS = 20
POLYGONAL = (3, 6)  # shapely's type ids of Polygon and MultiPolygon


@dataclass(frozen=True, eq=False, repr=False)
class Contiguity:
    """Neighbours of every unit and the length of every shared border; immutable.

    The graph is stored as a symmetric CSR matrix: the neighbours of unit ``i`` are
    ``indices[indptr[i]:indptr[i + 1]]``, ascending, never ``i`` itself.

    Parameters
    ----------
    index : Index of length n
        The caller's index.
    indptr : int64 array of length n + 1
        Where each unit's neighbours begin.
    indices : int32 array of length nnz
        Positions of the neighbours.
    lengths_mm : int64 array of length nnz
        Shared border in whole millimetres, at least 1, the same in both directions.
    exterior_mm : int64 array of length n
        Border that a unit shares with nobody, in whole millimetres.
    closed : bool array of length nnz, optional
        Borders that a grid may not span; by default none. See ``barriers``.
    cost_mm : int64 array of length nnz, optional
        What a grid line along each border costs; by default its length.

    Raises
    ------
    ValueError
        If the arrays do not fit together.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> left, right = shapely.box(0, 0, 2, 3), shapely.box(2, 0, 4, 3)
    >>> units = gpd.GeoDataFrame(geometry=[left, right], index=["a", "b"], crs=32650)
    >>> build_contiguity(units)
    <Contiguity: 2 units, 1 border of 3.0 m, 1 component, 0 units without neighbours>
    """

    index: pd.Index
    indptr: Ints
    indices: npt.NDArray[np.int32]
    lengths_mm: Ints
    exterior_mm: Ints
    closed: npt.NDArray[np.bool_] | None = None
    cost_mm: Ints | None = None

    def __post_init__(self) -> None:
        n = len(self.index)
        nnz = len(self.indices)
        if len(self.indptr) != n + 1 or len(self.exterior_mm) != n:
            raise ValueError(
                f"{n} units need {n + 1} row starts and {n} exteriors, "
                f"got {len(self.indptr)} and {len(self.exterior_mm)}"
            )
        if len(self.lengths_mm) != nnz or self.indptr[0] != 0 or self.indptr[-1] != nnz:
            raise ValueError(
                f"{nnz} neighbours need as many lengths and row starts from 0 to {nnz}, got "
                f"{len(self.lengths_mm)} and {self.indptr[0]} to {self.indptr[-1]}"
            )
        marks = [mark for mark in (self.closed, self.cost_mm) if mark is not None]
        if any(len(mark) != nnz for mark in marks):
            raise ValueError(f"closed and cost_mm need {nnz} entries, one for each neighbour")
        for array in (self.indptr, self.indices, self.lengths_mm, self.exterior_mm, *marks):
            array.flags.writeable = False

    @property
    def n(self) -> int:
        """Number of units."""
        return len(self.index)

    @property
    def n_edges(self) -> int:
        """Number of shared borders, each pair of units counted once."""
        return len(self.indices) // 2

    @property
    def rows(self) -> Ints:
        """Position of the unit that each entry of `indices` belongs to."""
        return np.repeat(np.arange(self.n, dtype=np.int64), np.diff(self.indptr))

    def components(self) -> Ints:
        """Label the connected parts.

        Returns
        -------
        int64 array of length n
            0 for the part of the first unit, 1 for the next part met, and so on.
        """
        return _number_by_first(_labels(self.n, self._csr()))

    def cut_mm(self, labels: npt.ArrayLike) -> int:
        """Length of the borders between units that carry different labels.

        Parameters
        ----------
        labels : array of length n
            The group of each unit, in the order of `index`.

        Returns
        -------
        int
            Millimetres, every border counted once.

        Examples
        --------
        >>> import geopandas as gpd, shapely
        >>> cells = [shapely.box(x, 0, x + 1, 1) for x in range(3)]
        >>> graph = build_contiguity(gpd.GeoDataFrame(geometry=cells, crs=32650))
        >>> graph.cut_mm([0, 0, 1])
        1000
        """
        labels = np.asarray(labels)
        if labels.shape != (self.n,):
            raise ValueError(f"{self.n} units need as many labels, got shape {labels.shape}")
        across = np.repeat(labels, np.diff(self.indptr)) != labels[self.indices]
        return int(self.lengths_mm[across].sum()) // 2

    def to_graph(self) -> Graph:
        """Convert to a :class:`libpysal.graph.Graph`, weights in metres of shared border.

        Returns
        -------
        libpysal.graph.Graph
            With the caller's index as ids, isolates included.

        Raises
        ------
        ImportError
            If libpysal is missing: install ``gridpart[graph]``.
        InputError
            If the index has duplicates, which a Graph cannot hold.
        """
        try:
            from libpysal.graph import Graph
        except ImportError as error:
            raise ImportError("to_graph needs libpysal; install gridpart[graph]") from error
        if not self.index.is_unique:
            raise InputError("a libpysal Graph needs a unique index; reset it first")
        isolates = np.flatnonzero(np.diff(self.indptr) == 0)
        focal = np.concatenate([self.rows, isolates])
        neighbor = np.concatenate([self.indices, isolates])
        weight = np.concatenate([self.lengths_mm / 1000, np.zeros(len(isolates))])
        order = np.argsort(focal, kind="stable")
        names = self.index.to_numpy()
        return Graph.from_arrays(
            names[focal[order]], names[neighbor[order]], weight[order], is_sorted=True
        )

    @classmethod
    def from_table(
        cls, table: pd.DataFrame, units: gpd.GeoDataFrame, *, id: str | None = None
    ) -> Contiguity:
        """Take neighbours from a table, such as one written from a libpysal graph.

        Parameters
        ----------
        table : DataFrame
            Columns ``focal``, ``neighbor`` and optionally ``weight``, metres of shared border (1
            without it); each pair once or in both directions.
        units : GeoDataFrame
            Gives the order, and the exterior.
        id : str, optional
            Column of the units with the names in the table; by default their index.

        Returns
        -------
        Contiguity

        Raises
        ------
        InputError
            With everything that is wrong: columns, unknown names, weights.

        Examples
        --------
        >>> import geopandas as gpd, shapely
        >>> cells = [shapely.box(x, 0, x + 1, 1) for x in range(3)]
        >>> units = gpd.GeoDataFrame({"id": list("abc")}, geometry=cells, crs=32650)
        >>> table = pd.DataFrame({"focal": ["a", "b"], "neighbor": ["b", "c"]})
        >>> Contiguity.from_table(table, units, id="id").n_edges
        2
        """
        if not {"focal", "neighbor"} <= set(table.columns):
            raise InputError("a table of neighbours needs the columns focal and neighbor")
        names = pd.Index((units.index if id is None else units[id]).astype(str))
        if not names.is_unique:
            raise InputError("the names of the units must be unique to be found in a table")
        places = [names.get_indexer(table[end].astype(str)) for end in ("focal", "neighbor")]
        weight = pd.to_numeric(table.get("weight", pd.Series(1.0, table.index)), errors="coerce")
        unknown = (places[0] < 0) | (places[1] < 0)
        wrong = ~(weight.between(0, np.inf, inclusive="left")).to_numpy()
        shown = table.astype(str).agg(", ".join, axis=1)
        problems = [
            Problem(kind, message, tuple(f"row {row + 1}: {shown.iloc[row]}" for row in bad))
            for kind, message, bad in (
                ("ids_differ", "focal and neighbor must both be units", np.flatnonzero(unknown)),
                ("weight", "weights must be metres, 0 or more", np.flatnonzero(wrong)),
            )
            if bad.size
        ]
        if problems:
            raise InputError(problems)
        micro = np.rint(weight.to_numpy(float) * MICRO).astype(np.int64)
        n = len(units)
        once = csr_array(coo_array((micro, places), shape=(n, n), dtype=np.int64))
        matrix = csr_array(once.maximum(once.T))
        matrix.setdiag(0)
        matrix.eliminate_zeros()
        return cls(units.index, *_round_to_mm(matrix), _exterior(units, matrix))

    @classmethod
    def from_graph(cls, graph: Graph, units: gpd.GeoDataFrame | pd.Index) -> Contiguity:
        """Take neighbours from a :class:`libpysal.graph.Graph`.

        Parameters
        ----------
        graph : libpysal.graph.Graph
            Symmetric; its weights are taken as metres of shared border
            (``by_perimeter=True``). In a binary graph every border is then 1 m long.
        units : GeoDataFrame or Index
            Whose index has exactly the graph's ids; gives the order. With geometries, what
            the graph leaves of a unit's perimeter is its exterior; with an index alone the
            exterior is 0.

        Returns
        -------
        Contiguity

        Raises
        ------
        InputError
            If the ids differ, or weights are negative, not finite or not symmetric.
        """
        index = units if isinstance(units, pd.Index) else units.index
        if not index.is_unique:
            raise InputError("the index of the units must be unique to be found in a graph")
        adjacency = graph.adjacency
        focal = index.get_indexer(adjacency.index.get_level_values(0))
        neighbor = index.get_indexer(adjacency.index.get_level_values(1))
        _check_ids(index, graph.unique_ids, min(focal.min(initial=0), neighbor.min(initial=0)))
        weight = adjacency.to_numpy(dtype=float)
        if not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise InputError("the graph's weights must be finite metres, 0 or more")
        between = focal != neighbor
        # a few borders may really be 1 metre each
        if between.sum() > SOME_BORDERS and (weight[between] == 1).all():
            warnings.warn(
                "all weights of the graph are 1, so every border counts 1 metre; one of lengths "
                "comes from Graph.build_contiguity(units, by_perimeter=True)",
                GridpartWarning,
                stacklevel=2,
            )
        micro = np.rint(weight[between] * MICRO).astype(np.int64)
        n = len(index)
        matrix = csr_array(
            coo_array((micro, (focal[between], neighbor[between])), shape=(n, n), dtype=np.int64)
        )
        if (matrix != matrix.T).nnz:
            raise InputError("the graph's weights must be the same in both directions")
        return cls(index, *_round_to_mm(matrix), _exterior(units, matrix))

    def _csr(self) -> csr_array:
        return csr_array((self.lengths_mm, self.indices, self.indptr), shape=(self.n, self.n))

    def __repr__(self) -> str:
        parts = _labels(self.n, self._csr()).max(initial=-1) + 1
        alone = int((np.diff(self.indptr) == 0).sum())
        total = self.lengths_mm.sum() / 2000
        return (
            f"<Contiguity: {_count(self.n, 'unit')}, {_count(self.n_edges, 'border')} "
            f"of {total:,.1f} m, {_count(parts, 'component')}, "
            f"{_count(alone, 'unit')} without neighbours>"
        )


def build_contiguity(units: gpd.GeoDataFrame, *, tolerance: float = 0.001) -> Contiguity:
    """Find the neighbours of every unit and the length of every shared border.

    Parameters
    ----------
    units : GeoDataFrame of n units
        Polygons or MultiPolygons in a projected CRS in metres; holes and parts are fine.
    tolerance : float, default 0.001
        Metres, at least 1e-6. Vertices of unmatched borders closer than this count as one, and
        a vertex so close to an edge counts as lying on it (a T-junction).

    Returns
    -------
    Contiguity
        On the index of `units`. It does not depend on the order of rows, rings or vertices.

    Raises
    ------
    CRSError
        If the CRS is missing or not in metres.
    InputError
        If a geometry is missing, empty, not polygonal or has coordinates that are not finite.

    Warns
    -----
    GridpartWarning
        If a piece of border belongs to three or more units, which only overlapping units do.
        It then counts in full for each pair of them.

    Notes
    -----
    Rook contiguity: a touch in points only is no border, nor is one that rounds to 0 mm. Inside a
    unit, a border between its own parts counts neither as shared nor as exterior.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> tall, low, high = shapely.box(0, 0, 1, 2), shapely.box(1, 0, 2, 1), shapely.box(1, 1, 2, 2)
    >>> units = gpd.GeoDataFrame(geometry=[tall, low, high], crs=32650)
    >>> graph = build_contiguity(units)  # both short cells meet the long edge in a T-junction
    >>> graph.indices.tolist(), graph.lengths_mm.tolist()
    ([1, 2, 0, 2, 0, 1], [1000, 1000, 1000, 1000, 1000, 1000])
    """
    _check_crs(units)
    check_tolerance(tolerance)
    geometries = units.geometry.to_numpy()
    _check_polygons(geometries, units.index)
    micro, exterior, crowded = shared_borders(geometries, tolerance)
    if crowded:
        warnings.warn(
            f"{crowded} pieces of border belong to three or more units, so units overlap; such a "
            "border counts for each pair. check_units names them, repair_units may help",
            GridpartWarning,
            stacklevel=2,
        )
    return Contiguity(units.index, *_round_to_mm(micro), _to_mm(exterior))


def is_metric(crs: Any) -> bool:
    """Whether a CRS is projected with both axes in metres."""
    return bool(crs.is_projected) and all(
        axis.unit_name in ("metre", "meter") for axis in crs.axis_info[:2]
    )


def check_tolerance(tolerance: float) -> None:
    """Raise an :class:`InputError` unless `tolerance` is a length that coordinates can hold."""
    if not MIN_TOLERANCE <= tolerance < np.inf:
        raise InputError(f"tolerance must be at least {MIN_TOLERANCE} metres, got {tolerance!r}")


def _check_crs(units: gpd.GeoDataFrame) -> None:
    if units.crs is None:
        raise CRSError(
            "the units have no CRS; say which one the coordinates are in with "
            "units.set_crs('EPSG:...')"
        )
    if not is_metric(units.crs):
        raise CRSError(
            f"borders are measured in metres, but {units.crs.name!r} is not a projected CRS in "
            "metres; use units.to_crs(units.estimate_utm_crs()) or a CRS of your own"
        )


def _check_polygons(geometries: Objects, index: pd.Index) -> None:
    missing = shapely.is_missing(geometries) | shapely.is_empty(geometries)
    other = ~missing & ~np.isin(shapely.get_type_id(geometries), POLYGONAL)
    infinite = ~missing & ~finite(geometries)
    problems = [
        Problem(kind, message, tuple(f"unit {name}" for name in index[bad]))
        for kind, message, bad in (
            ("no_geometry", "units without geometry have no neighbours; remove them", missing),
            ("not_polygon", "every unit must be a Polygon or MultiPolygon", other),
            ("not_finite", "coordinates must be finite numbers, up to 1e9", infinite),
        )
        if bad.any()
    ]
    if problems:
        raise InputError(problems)


def _check_ids(index: pd.Index, ids: pd.Index, lowest: int) -> None:
    absent = index.difference(ids)
    if len(absent) or lowest < 0:
        strange = ids.difference(index)
        names = [f"only in the units: {name}" for name in absent]
        names += [f"only in the graph: {name}" for name in strange]
        raise InputError(Problem("ids_differ", "graph and units must have the same ids", (*names,)))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _labels(n: int, matrix: csr_array) -> Ints:
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    return connected_components(matrix, directed=False)[1].astype(np.int64)


def _number_by_first(labels: Ints) -> Ints:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.reshape(-1)]


def _to_mm(micrometres: Ints) -> Ints:
    return (micrometres + UM_PER_MM // 2) // UM_PER_MM


def _exterior(units: gpd.GeoDataFrame | pd.Index, micro: csr_array) -> Ints:
    """What borders in micrometres leave of each unit's perimeter, millimetres; 0 without shapes."""
    if isinstance(units, pd.Index):
        return np.zeros(len(units), dtype=np.int64)
    perimeter = np.rint(units.geometry.length.to_numpy() * MICRO).astype(np.int64)
    return _to_mm(np.maximum(perimeter - micro.sum(axis=1), 0))


def _round_to_mm(matrix: csr_array) -> tuple[Ints, npt.NDArray[np.int32], Ints]:
    """Round the sums once, and drop what is a touch and no border."""
    matrix = matrix.copy()
    matrix.data = _to_mm(matrix.data)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data
