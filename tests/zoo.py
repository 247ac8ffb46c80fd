"""A zoo of coverages that go wrong easily, and strategies that breed more of them.

``COVERAGES`` maps a name to a function without arguments that returns a GeoDataFrame in metres
with a column ``households``; every one of them is a valid input. Parametrise over it::

    @pytest.mark.parametrize("name", COVERAGES)
    def test_x(name): units = COVERAGES[name]()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon, box

CRS = "EPSG:4547"  # CGCS2000 / 3-degree Gauss-Kruger CM 114E


def frame(
    shapes: Sequence[Any], index: Any = None, households: Any = None, geometry: str = "geometry"
) -> gpd.GeoDataFrame:
    """Units with 10, 11, 12... households, or those given."""
    counts = range(10, 10 + len(shapes)) if households is None else households
    units = gpd.GeoDataFrame(
        {"households": list(counts)}, geometry=list(shapes), index=index, crs=CRS
    )
    return units if geometry == "geometry" else units.rename_geometry(geometry)


def lattice(
    columns: int,
    rows: int,
    *,
    size: float = 50.0,
    jitter: float = 0.3,
    bends: int = 1,
    seed: int = 0,
    origin: tuple[float, float] = (500_000.0, 3_400_000.0),
) -> gpd.GeoDataFrame:
    """A jittered lattice of blocks, neighbours sharing every vertex; quick for a million.

    Each side has `bends` inner vertices, moved a little off the straight line.
    """
    rng = np.random.default_rng(seed)
    nodes = np.stack(np.meshgrid(np.arange(columns + 1), np.arange(rows + 1)), axis=-1)
    nodes = nodes * size + rng.uniform(-jitter, jitter, nodes.shape) * size / 2 + np.array(origin)

    def sides(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        share = np.arange(1, bends + 1) / (bends + 1)
        line = start[..., None, :] + (stop - start)[..., None, :] * share[:, None]
        line = line + rng.uniform(-jitter, jitter, line.shape) * size / 8
        return np.concatenate([start[..., None, :], line], axis=-2)

    across, up = sides(nodes[:, :-1], nodes[:, 1:]), sides(nodes[:-1], nodes[1:])

    def back(side: np.ndarray, stop: np.ndarray) -> np.ndarray:
        return np.concatenate([stop[..., None, :], side[..., :0:-1, :]], axis=-2)

    rings = np.concatenate(
        [
            across[:-1],
            up[:, 1:],
            back(across[1:], nodes[1:, 1:]),
            back(up[:, :-1], nodes[1:, :-1]),
        ],
        axis=-2,
    ).reshape(columns * rows, -1, 2)
    return frame(
        shapely.polygons(rings), households=rng.poisson(40, columns * rows) * rng.integers(0, 2)
    )


def brick_wall(columns: int = 4, rows: int = 4) -> gpd.GeoDataFrame:
    """Every second row is shifted by half a brick, so all vertices are T-junctions."""
    return frame(
        [
            box(2 * x + y % 2, y, 2 * x + 2 + y % 2, y + 1)
            for y in range(rows)
            for x in range(columns)
        ]
    )


def _spiral() -> gpd.GeoDataFrame:
    arm = Polygon([(0, 0), (5, 0), (5, 5), (1, 5), (1, 2), (3, 2), (3, 3), (2, 3), (2, 4), (4, 4),
                   (4, 1), (0, 1)])  # fmt: skip
    return frame([arm, box(0, 0, 5, 5).difference(arm)])


def _self_touching() -> gpd.GeoDataFrame:
    """A ring whose hole touches its shell in a point, with the hole filled."""
    hole = [(0, 2), (2, 1), (2, 3), (0, 2)]
    shell = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 2), (0, 0)]
    return frame([Polygon(shell, [hole]), Polygon(hole), box(-2, 0, 0, 4)])


COVERAGES: dict[str, Callable[[], gpd.GeoDataFrame]] = {
    "single": lambda: frame([box(0, 0, 1, 1)]),
    "pair": lambda: frame([box(0, 0, 1, 1), box(1, 0, 2, 1)]),
    "apart": lambda: frame([box(0, 0, 1, 1), box(5, 0, 6, 1), box(5, 1, 6, 2)]),
    "point_contact": lambda: frame([box(0, 0, 1, 1), box(1, 1, 2, 2)]),
    "checkerboard": lambda: frame(
        [box(x, y, x + 1, y + 1) for x in range(4) for y in range(4) if (x + y) % 2]
    ),
    "donut_filled": lambda: frame([box(0, 0, 3, 3).difference(box(1, 1, 2, 2)), box(1, 1, 2, 2)]),
    "donut_empty": lambda: frame([box(0, 0, 3, 3).difference(box(1, 1, 2, 2)), box(3, 0, 4, 3)]),
    "donuts_nested": lambda: frame(
        [
            box(0, 0, 7, 7).difference(box(1, 1, 6, 6)),
            box(1, 1, 6, 6).difference(box(2, 2, 5, 5)),
            box(2, 2, 5, 5).difference(box(3, 3, 4, 4)),
            box(3, 3, 4, 4),
        ]
    ),
    "exclave": lambda: frame(
        [MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1)]), box(1, 0, 2, 1), box(3, 0, 4, 1)]
    ),
    "enclave_of_two": lambda: frame(
        [
            MultiPolygon([box(0, 0, 5, 5).difference(box(1, 1, 4, 4)), box(2, 2, 3, 3)]),
            box(1, 1, 4, 4).difference(box(2, 2, 3, 3)),
        ]
    ),
    "self_touching": _self_touching,
    "two_borders": lambda: frame(
        [
            Polygon([(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)]),
            Polygon([(0, 3), (1, 3), (2, 3), (3, 3), (3, 4), (0, 4)]),
            box(1, 1, 2, 3),
        ]
    ),
    "t_junction": lambda: frame([box(0, 0, 1, 2), box(1, 0, 2, 1), box(1, 1, 2, 2)]),
    "t_junctions_facing": lambda: frame(
        [box(0, 0, 1, 2), box(0, 2, 1, 5), box(1, 0, 2, 3), box(1, 3, 2, 4), box(1, 4, 2, 5)]
    ),
    "t_junction_of_a_hole": lambda: frame(
        [box(0, 0, 4, 4).difference(box(1, 1, 3, 3)), box(1, 1, 2, 3), box(2, 1, 3, 3)]
    ),
    "t_junction_at_the_rim": lambda: frame([box(0, 0, 4, 1), box(1, 1, 2, 2), box(2.5, 1, 3, 2)]),
    "brick_wall": brick_wall,
    "spiral": _spiral,
    "needles": lambda: frame(
        [
            Polygon([(i * 0.01, 0), (i * 0.01 + 0.01, 0), (i * 0.01 + 0.01, 900), (i * 0.01, 900)])
            for i in range(6)
        ]
    ),
    "clockwise_and_not": lambda: frame([box(0, 0, 1, 1, ccw=True), box(1, 0, 2, 1, ccw=False)]),
    "repeated_vertices": lambda: frame(
        [Polygon([(0, 0), (1, 0), (1, 0), (1, 1), (0, 1), (0, 1)]), box(1, 0, 2, 1)]
    ),
    "far_away": lambda: frame(
        [box(39_500_000.5 + x, 4_400_000.25, 39_500_001.5 + x, 4_400_001.25) for x in range(3)]
    ),
    "negative": lambda: frame([box(-2, -2, -1, -1), box(-1, -2, 0, -1), box(0, -2, 1, -1)]),
    "renamed_geometry": lambda: frame([box(0, 0, 1, 1), box(1, 0, 2, 1)], geometry="shape"),
    "text_index": lambda: frame(
        [box(x, 0, x + 1, 1) for x in range(4)], index=["丁", "丙", "乙", "甲"]
    ),
    "mixed_types": lambda: frame([MultiPolygon([box(0, 0, 1, 1)]), box(1, 0, 2, 1)]),
    "lattice": lambda: lattice(7, 5),
}


@st.composite
def coverages(draw: st.DrawFn, *, max_side: int = 5, straight: bool | None = None) -> Any:
    """Units dissolved from cells of a lattice, in any order of rows, rings and vertices.

    They have parts, holes, gaps and islands. Straight ones lose the vertices in the middle of
    their edges, so they are full of T-junctions.
    """
    columns, rows = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    count = columns * rows
    plain = draw(st.booleans()) if straight is None else straight
    base = lattice(columns, rows, size=8, jitter=0 if plain else 0.3, bends=int(not plain),
                   seed=draw(st.integers(0, 99)), origin=(-16, 400))  # fmt: skip
    label = draw(st.lists(st.integers(-1, max(1, count // 2)), min_size=count, max_size=count))
    labels = np.array(label)
    if (labels < 0).all():
        labels[0] = 0
    cells = base.geometry.to_numpy()
    shapes = [united(cells[labels == k]) for k in np.unique(labels[labels >= 0])]
    if plain:
        shapes = [shapely.simplify(shape, 0) for shape in shapes]
    shapes = [turned(shape, draw(st.integers(0, 5)), draw(st.booleans())) for shape in shapes]
    order = draw(st.permutations(range(len(shapes))))
    counts = draw(st.lists(st.integers(0, 400), min_size=len(shapes), max_size=len(shapes)))
    return frame(
        [shapes[i] for i in order],
        index=[f"u{i}" for i in order] if draw(st.booleans()) else None,
        households=counts,
        geometry=draw(st.sampled_from(["geometry", "地块"])),
    )


def united(cells: np.ndarray) -> Any:
    """Union along shared borders; in general where older GEOS leaves a ring that touches itself."""
    shape = shapely.coverage_union_all(cells)
    return shape if shape.is_valid else shapely.union_all(cells)


def turned(shape: Any, by: int, backwards: bool) -> Any:
    """The same polygon with its rings started elsewhere and maybe run the other way."""

    def ring(line: Any) -> np.ndarray:
        xy = shapely.get_coordinates(line)[:-1]
        xy = np.roll(xy, by, axis=0)
        return xy[::-1] if backwards else xy

    parts = [
        Polygon(ring(part.exterior), [ring(hole) for hole in part.interiors])
        for part in shapely.get_parts(shape)
    ]
    return parts[0] if isinstance(shape, Polygon) else MultiPolygon(parts)


def brute_borders(units: gpd.GeoDataFrame) -> dict[tuple[int, int], float]:
    """Oracle: metres of border that each pair has in common, by intersecting all boundaries."""
    lines = shapely.boundary(units.geometry.to_numpy())
    one, other = np.triu_indices(len(lines), 1)
    metres = shapely.length(shapely.intersection(lines[one], lines[other]))
    return {
        (int(i), int(j)): float(m) for i, j, m in zip(one, other, metres, strict=True) if m > 5e-4
    }
