"""Whether zones keep inside one community, and on one side of a barrier."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart.barriers import Barriers
from gridpart.coverage.catalogue import Finding
from gridpart.coverage.scene import Scene

__all__ = ["check_barriers", "check_communities"]


def check_communities(scene: Scene) -> Iterator[Finding]:
    """Find zones whose units belong to several communities, or to another than the zone names.

    A unit counts in the zone it is assigned to and in the one that holds most of it: a zone may
    cross a border on paper or on the ground. Units and zones that name no community are passed
    over: a missing name is not another community.
    """
    if scene.unit_communities is None:
        return
    texts, home, main = scene.unit_communities, scene.home, scene.located.main
    away = np.flatnonzero(main != home)
    rows = np.concatenate([np.arange(len(texts)), away])
    held_in = np.concatenate([home, main[away]])
    zones, codes, counts = texts.counts(held_in, rows)
    order = np.lexsort((rows, held_in))
    rows, held_in = rows[order], held_in[order]
    for zone, start, stop in _runs(zones):
        sizes = dict(
            zip((texts.names[code] for code in codes[start:stop]), counts[start:stop], strict=True)
        )
        own = "" if scene.own_communities is None else scene.own_communities[zone]
        # the units of the community that a zone names are at home, else those of the largest
        home_name = own if own in sizes else max(sizes, key=lambda name: sizes[name])
        if len(sizes) == 1 and own in ("", home_name):
            continue
        units = rows[slice(*np.searchsorted(held_in, [zone, zone + 1]))]
        units = units[texts.codes[units] != texts.code("")]
        if len(sizes) > 1:
            units = units[texts.codes[units] != texts.code(home_name)]
            listed = ", ".join(f"{name} ({_units(n)})" for name, n in sizes.items())
            yield _crossing(scene, zone, units, f"lies in {len(sizes)} communities: {listed}")
        else:
            said = f"is said to lie in {own}, but its units belong to {home_name}"
            yield _crossing(scene, zone, units, said)


def check_barriers(scene: Scene, barriers: Barriers) -> Iterator[Finding]:
    """Find zones on both sides of a barrier that no crossing joins."""
    shapes = scene.zones.polygons
    for zone, side in barriers.severed(shapes, scene.min_area):
        name = scene.zones.ids[zone]
        text = f"zone {name} lies on both sides of a barrier, {side.area:,.0f} m² on the smaller"
        yield Finding("across_barrier", text, (name,), side, rows=(zone,))


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Each distinct one of ascending values, where it begins and where it ends."""
    distinct, start = np.unique(values, return_index=True)
    stop = np.append(start[1:], len(values))
    yield from zip(distinct.tolist(), start.tolist(), stop.tolist(), strict=True)


def _crossing(scene: Scene, zone: int, rows: np.ndarray, message: str) -> Finding:
    """Mark the units of other communities than the zone's."""
    name = scene.zones.ids[zone]
    shape = shapely.union_all(scene.unit_shapes[rows])
    return Finding(
        "crosses_community",
        f"zone {name} {message}",
        (name,),
        scene.zones.polygons[zone] if shape.is_empty else shape,
        scene.households_at(rows),
        rows=(zone,),
    )


def _units(n: int) -> str:
    return f"{n} unit{'' if n == 1 else 's'}"
