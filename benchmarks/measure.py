"""The graphs that are divided, where they come from, and what a plan of one is worth.

Everything here is counted from the labels alone, with numpy and scipy: no tool that is measured
takes part in measuring.
"""

# ruff: noqa: E402 (the number of threads must be set before numpy is loaded)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]

LOW, HIGH, TARGET = 200, 500, 350
DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@dataclass(frozen=True, eq=False)
class Graph:
    """One community: compressed rows, borders and positions in mm, loads in households."""

    name: str
    indptr: Ints
    indices: Ints
    borders: Ints
    loads: Ints
    x: Ints
    y: Ints

    def __len__(self) -> int:
        return self.loads.size

    @property
    def total(self) -> int:
        return int(self.loads.sum())

    @property
    def rows(self) -> Ints:
        """Unit at which every entry of `indices` starts."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def wanted(self, target: int = TARGET) -> int:
        """Number of groups every tool is asked for."""
        return max(1, round(self.total / target))


@dataclass(frozen=True, eq=False)
class Place:
    """Communities that are planned each by itself and judged together."""

    name: str
    communities: Sequence[Graph]

    def wanted(self, target: int = TARGET) -> int:
        return sum(community.wanted(target) for community in self.communities)

    def __len__(self) -> int:
        return sum(map(len, self.communities))


@dataclass(frozen=True)
class Score:
    """What a plan is worth.

    Attributes
    ----------
    groups, wanted : int
        Number of groups found, and asked for.
    outside : int
        Groups with a load outside the band.
    broken : int
        Groups in more than one part.
    cut_km, scaled_km : float
        Length of the borders between groups; the same at the number of groups asked for
        (cut * sqrt(wanted / groups)), because only cuts at equal number compare.
    cv : float
        Standard deviation of the groups' loads over their mean.
    """

    groups: int
    wanted: int
    outside: int
    broken: int
    cut_km: float
    scaled_km: float
    cv: float

    @property
    def valid(self) -> bool:
        return self.outside == 0 and self.broken == 0

    @property
    def in_band(self) -> float:
        return 1 - self.outside / self.groups

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(place: Place, labels: Sequence[Ints], *, low: int = LOW, high: int = HIGH) -> Score:
    """Count a plan from its labels; ValueError where a unit has no group or a sum is wrong."""
    loads, broken, cut = [], 0, 0
    for community, own in zip(place.communities, labels, strict=True):
        own = np.asarray(own)
        if own.shape != community.loads.shape or own.min() < 0:
            raise ValueError(f"{community.name}: every unit must be in exactly one group")
        own = np.unique(own, return_inverse=True)[1].reshape(-1)
        groups = int(own.max()) + 1
        sums = np.zeros(groups, np.int64)
        np.add.at(sums, own, community.loads)
        if sums.sum() != community.total:
            raise ValueError(f"{community.name}: households were lost")
        inside = own[community.rows] == own[community.indices]
        cut += int(community.borders[~inside].sum()) // 2
        parts = components(community, own)
        broken += int((np.bincount(own[_first_of(parts)], minlength=groups) > 1).sum())
        loads.append(sums)
    load = np.concatenate(loads)
    wanted = place.wanted()
    return Score(
        groups=load.size,
        wanted=wanted,
        outside=int(((load < low) | (load > high)).sum()),
        broken=broken,
        cut_km=cut / 1e6,
        scaled_km=cut / 1e6 * (wanted / load.size) ** 0.5,
        cv=float(load.std() / load.mean()),
    )


def components(graph: Graph, labels: Ints) -> Ints:
    """Number of the connected part of equal label in which every unit lies."""
    inside = labels[graph.rows] == labels[graph.indices]
    kept = csr_array(
        (np.ones(int(inside.sum()), np.int8), (graph.rows[inside], graph.indices[inside])),
        shape=(len(graph), len(graph)),
    )
    return connected_components(kept, directed=False)[1]


def _first_of(parts: Ints) -> Ints:
    return np.unique(parts, return_index=True)[1]


def connected_part(graph: Graph) -> Graph:
    """The part with the most households; the graph itself where it is connected."""
    parts = components(graph, np.zeros(len(graph), np.int64))
    weight = np.bincount(parts, graph.loads)
    members = np.flatnonzero(parts == weight.argmax())
    if members.size == len(graph):
        return graph
    matrix = csr_array((graph.borders, graph.indices, graph.indptr))[members][:, members].tocsr()
    matrix.sort_indices()
    return Graph(
        graph.name, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data,
        graph.loads[members], graph.x[members], graph.y[members],
    )  # fmt: skip


def _communities(units: Any, households: str, within: str | None) -> list[Any]:
    from gridpart.contiguity import build_contiguity
    from gridpart.problem import build_communities, measure
    from gridpart.rules import Rules

    rules = Rules(households=households, within=within)
    return build_communities(units, build_contiguity(units), rules, measure(units))


def _graph(community: Any, name: str) -> Graph:
    return Graph(
        name, community.indptr, community.indices, community.borders,
        np.ascontiguousarray(community.loads[:, 0]), community.x, community.y,
    )  # fmt: skip


def data_file(data: Path, *parts: str) -> Path:
    path = data.joinpath(*parts)
    if not path.exists():
        sys.exit(f"{path} is not there; say where the data lie with --data FOLDER")
    return path


def porto(data: Path = DATA) -> tuple[Place, list[Ints]]:
    """Porto's census subsections in its 7 parishes, and INE's own sections as labels."""
    import geopandas as gpd
    import pandas as pd

    units = gpd.read_file(data_file(data, "porto_bgri2021", "porto_bgri2021.gpkg"), layer="units")
    found = _communities(units, "households", "parish_id")
    sections = pd.factorize(units["section_id"])[0]
    place = Place("Porto", [_graph(community, community.key) for community in found])
    return place, [sections[community.members] for community in found]


def yamaguchi(data: Path = DATA) -> Place:
    """Yamaguchi's basic unit blocks as one community, without the empty islet."""
    import geopandas as gpd

    path = data_file(data, "yamaguchi_basic_units_2020", "yamaguchi_r2kb35203.gpkg")
    units = gpd.read_file(path, layer="units_snapped_epsg6671")
    units["households"] = units["SETAI"].astype("int64")
    (found,) = _communities(units, "households", None)
    return Place("Yamaguchi", [connected_part(_graph(found, "Yamaguchi"))])
