"""Whether zones keep inside one community, and on one side of a barrier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart.barriers import Barriers
from gridpart.coverage.findings import Finding
from gridpart.coverage.scene import Scene
from gridpart.coverage.territory import is_wide, polygonal

__all__ = ["check_barriers", "check_communities"]


def check_communities(scene: Scene) -> Iterator[Finding]:
    """Find zones in several communities, or in another than they name: by units, then as drawn."""
    told: set[int] = set()
    for finding in _by_units(scene):
        told.update(finding.rows)
        yield finding
    yield from (finding for finding in _by_ground(scene) if finding.rows[0] not in told)


def _by_units(scene: Scene) -> Iterator[Finding]:
    """Zones whose units belong to several communities, or to another than the zone names.

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


def _by_ground(scene: Scene) -> Iterator[Finding]:
    """Zones that lie in the ground of several communities, or in that of another than they name."""
    if scene.areas is None:
        return
    areas, zones = scene.areas, scene.zones.polygons
    zone, area = shapely.STRtree(areas.polygons).query(zones, predicate="intersects")
    order = np.lexsort((area, zone))
    zone, area = zone[order].astype(np.int64), area[order].astype(np.int64)
    inside = shapely.covered_by(zones[zone], areas.polygons[area])
    home = np.full(len(zones), -1, np.int64)
    home[zone[inside]] = area[inside]
    if scene.own_communities is not None:
        own = np.array(scene.own_communities, dtype=object)
        there = np.array([*areas.names, ""], dtype=object)[home]
        known = np.isin(own, areas.names)
        for wrong in np.flatnonzero((home >= 0) & known & (there != own)):
            yield _drawn(scene, int(wrong), [str(there[wrong])], zones[wrong])
    # most zones lie inside one community: only the others are cut
    doubtful = home[zone] < 0
    zone, area = zone[doubtful], area[doubtful]
    ground = polygonal(shapely.intersection(zones[zone], areas.polygons[area]))
    size = shapely.area(ground)
    real = (size >= scene.limits["crosses_community"]) & _is_wide(ground, scene.tolerance)
    zone, area, ground, size = zone[real], area[real], ground[real], size[real]
    for row, start, stop in _runs(zone):
        ranked = start + np.argsort(-size[start:stop], kind="stable")
        names = [areas.names[k] for k in area[ranked]]
        named = "" if scene.own_communities is None else scene.own_communities[row]
        at_home = named if named in names else names[0]
        if len(names) > 1:
            away = [k for k, name in zip(ranked, names, strict=True) if name != at_home]
            yield _drawn(scene, row, names, shapely.union_all(ground[away]))
        elif named in areas.names and named != names[0]:
            yield _drawn(scene, row, names, ground[ranked[0]])


def _is_wide(shapes: Any, tolerance: float) -> NDArray[np.bool_]:
    """Whether a part of each shape is wider than the tolerance."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    return np.isin(np.arange(len(shapes)), shape[is_wide(parts, tolerance)])


def _drawn(scene: Scene, row: int, names: list[str], place: Any) -> Finding:
    """Say where a zone lies as drawn; `place` is what lies in another community than its own."""
    zone = scene.zones.ids[row]
    if len(names) > 1:
        text = f"zone {zone} lies in {len(names)} communities: {', '.join(names)}"
        text += f"; {shapely.area(place):,.2f} m² outside the one it belongs to"
    else:
        assert scene.own_communities is not None
        text = f"zone {zone} is said to lie in {scene.own_communities[row]}, but lies in {names[0]}"
    return Finding("crosses_community", text, (zone,), place, rows=(row,))


def check_barriers(scene: Scene, barriers: Barriers) -> Iterator[Finding]:
    """Find zones on both sides of a barrier that no crossing joins."""
    shapes = scene.zones.polygons
    for zone, side in barriers.severed(shapes, scene.limits["across_barrier"]):
        name = scene.zones.ids[zone]
        text = f"zone {name} lies on both sides of a barrier, {side.area:,.0f} m² on the smaller"
        yield Finding("across_barrier", text, (name,), side, rows=(zone,))


def _runs(values: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Each distinct one of ascending values, where it begins and where it ends."""
    distinct, start = np.unique(values, return_index=True)
    stop = np.append(start[1:], len(values))[: len(distinct)]
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
