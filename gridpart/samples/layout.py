"""The lie of the land of a synthetic county town: outline, river, communities, blocks, parcels.

Everything here is geometry and use of the land; households, names and codes are the business of
:mod:`gridpart.samples.town`. All faces live in one :class:`~gridpart.samples.mesh.Mesh`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from gridpart.samples.blocks import COUNTRY, HECTARE, Community, Land, Unit, fill, top_up
from gridpart.samples.mesh import MM, Chord, Draws, Mesh, Ring, Style

__all__ = ["lay_out"]

VILLAGE_AREA = 170 * HECTARE
URBAN_AREA = 34 * HECTARE  # of one urban community: about 70 households to the hectare
UNITS_PER_URBAN, UNITS_PER_VILLAGE = 190, 75  # rough shares when the communities are counted
POINTS = 60  # sampling points that stand for one community's size

ARTERIAL = Style("arterial", snap=45.0, spread=0.0, turn=0.10, bend=0.035)


# ---------------------------------------------------------------------- the frame of the land


def _outline(radius: float, draws: Draws) -> shapely.Polygon:
    """A closed, gently irregular outline around the origin, in metres."""
    waves = [
        (k, draws.bell(0.11 / k**0.8), draws.uniform(0, 2 * math.pi))
        for k in (2, 3, 4, 5, 7, 11, 17)
    ]
    steps = max(40, min(400, int(2 * math.pi * radius / 140)))
    ring = []
    for step in range(steps):
        theta = 2 * math.pi * step / steps
        r = radius * (1.0 + sum(a * math.cos(k * theta + phase) for k, a, phase in waves))
        ring.append((1.08 * r * math.cos(theta), 0.94 * r * math.sin(theta)))
    return shapely.Polygon(np.round(ring, 3))


def _river_lines(radius: float, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre line, north and south bank from beyond the west to beyond the east, metres (n, 2)."""
    length = 2.9 * radius
    x = np.linspace(-length / 2, length / 2, max(40, int(length / 55)))
    y = 0.06 * x
    for height, wave in ((0.13, 2.2), (0.05, 0.95), (0.012, 0.4)):
        phase = draws.uniform(0, 2 * math.pi)
        y = y + height * radius * (np.sin(2 * math.pi * x / (wave * radius) + phase))
    y -= np.interp(0.0, x, y)
    centre = np.column_stack([x, y])
    along = np.gradient(centre, axis=0)
    along /= np.hypot(along[:, 0], along[:, 1])[:, None]
    width = 48.0 + 9.0 * np.sin(x / 310.0) + 5.0 * np.sin(x / 127.0)
    away = np.column_stack([-along[:, 1], along[:, 0]]) * width[:, None]
    return np.round(centre, 3), np.round(centre + away, 3), np.round(centre - away, 3)


@dataclass
class _Frame:
    """Outline and river as faces of the mesh."""

    banks: list[Ring]  # north, south
    waters: list[Ring]
    heads: list[list[int]]  # of each bridge: north bank, middle, south bank


def _frame(land: Land, radius: float, reach: float, every: int, draws: Draws) -> _Frame:
    """Draw outline and river until the river parts the land in exactly two.

    The water is cut at the bridges and every `every` vertices of the river.
    """
    while True:
        outline = _outline(radius, draws)
        centre, north, south = _river_lines(radius, draws)
        middle = len(centre) // 2
        at_bridges = [int(np.abs(centre[:, 0] - at * reach).argmin()) for at in (-0.3, 0.6)]
        low, high = min(at_bridges) % every, len(centre)
        stops = sorted({*range(low, high, every), *at_bridges})
        # No sliver of water between a bridge and the next section.
        stops = [s for s in stops if s in at_bridges or min(abs(s - b) for b in at_bridges) > 2]
        lines = [shapely.LineString(line) for line in (centre, north, south)]
        sections = [shapely.LineString([north[s], centre[s], south[s]]) for s in stops]
        noded = shapely.union_all([outline.exterior, *lines, *sections], grid_size=0.001)
        faces = [
            f
            for f in shapely.polygonize([noded]).geoms
            if outline.contains(f.representative_point())
        ]
        strip = shapely.Polygon(np.vstack([north, south[::-1]]))
        wet = [strip.contains(f.representative_point()) for f in faces]
        banks = sorted(
            (f for f, w in zip(faces, wet, strict=True) if not w), key=lambda f: -f.centroid.y
        )
        waters = [f for f, w in zip(faces, wet, strict=True) if w]
        shores = shapely.union_all([f.boundary for f in banks])
        tiny = any(f.area < 500 or f.boundary.intersection(shores).length < 20 for f in waters)
        if len(banks) == 2 and not tiny and outline.contains(shapely.Point(centre[middle])):
            break
    number: dict[tuple[int, int], int] = {}

    def vertex(point: np.ndarray) -> int:
        key = (round(float(point[0]) * MM), round(float(point[1]) * MM))
        if key not in number:
            number[key] = land.mesh.vertex(*key)
        return number[key]

    def ring(face: Any) -> Ring:
        points = shapely.get_coordinates(shapely.orient_polygons(face).exterior)[:-1]
        return [vertex(point) for point in points]

    frame = _Frame(
        [ring(f) for f in banks],
        [ring(f) for f in sorted(waters, key=lambda f: (f.centroid.x, f.centroid.y))],
        [[vertex(line[b]) for line in (north, centre, south)] for b in at_bridges],
    )
    wet_line = shapely.get_coordinates(shapely.intersection(lines[0], outline))
    land.river = [vertex(point) for point in wet_line]
    land.bridges = [list(head) for head in frame.heads]
    return frame


# ---------------------------------------------------------------------- communities


def _sites(urban: int, radius: float, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) and radii (n,) of the towns, metres; the first stands on the river."""
    count = max(1, round(urban / 45))
    share = 1.0 / np.arange(1, count + 1) ** 0.5
    radii = np.sqrt(share / share.sum() * urban * URBAN_AREA / math.pi)
    centres = [(0.0, 0.22 * float(radii[0]))]
    gap = 1.35
    while len(centres) < count:
        at = len(centres)
        for _ in range(60):
            r, theta = radius * math.sqrt(draws.uniform(0, 0.72)), draws.uniform(0, 2 * math.pi)
            x, y = r * math.cos(theta), r * math.sin(theta)
            apart = (math.hypot(x - cx, y - cy) for cx, cy in centres)
            if all(d > gap * (radii[i] + radii[at]) for i, d in enumerate(apart)):
                centres.append((x, y))
                break
        else:
            gap *= 0.9
    return np.asarray(centres), radii


def _population_points(
    urban: int, villages: int, radius: float, draws: Draws
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, 2) in metres that stand for people, which are urban, and the towns' centres."""
    random = draws.generator
    centres, radii = _sites(urban, radius, draws)
    weight = radii**2 / (radii**2).sum()
    town = random.choice(len(centres), size=urban * POINTS, p=weight)
    theta = random.uniform(0, 2 * math.pi, len(town))
    phase = random.uniform(0, 2 * math.pi, (2, len(centres)))
    edge = 1 + 0.14 * np.cos(2 * theta + phase[0][town]) + 0.09 * np.cos(5 * theta + phase[1][town])
    r = radii[town] * edge * random.random(len(town)) ** 0.56
    inner = centres[town] + np.column_stack([1.12 * r * np.cos(theta), 0.9 * r * np.sin(theta)])
    wide = random.uniform(-1.2 * radius, 1.2 * radius, (villages * POINTS * 3, 2))
    free = np.ones(len(wide), dtype=bool)
    for (cx, cy), reach in zip(centres, radii, strict=True):
        free &= np.hypot((wide[:, 0] - cx) / 1.12, (wide[:, 1] - cy) / 0.9) > 1.08 * reach
    outer = wide[free]
    points = np.vstack([inner, outer])
    return points, np.arange(len(points)) < len(inner), centres


def _separating(
    points: np.ndarray, urban: np.ndarray, parts: int, angles: list[float], least: float = 0.1
) -> list[tuple[float, float]]:
    """The cut (share, angle) that best parts town from country, if the face holds both."""
    mean = float(urban.mean())
    if not 0.06 < mean < 0.94:
        return []
    found = []
    edge = 1 if parts <= 8 else parts // 6
    for angle in angles:
        along = points[:, 0] * math.cos(angle) + points[:, 1] * math.sin(angle)
        sums = np.cumsum(urban[np.argsort(along, kind="stable")])
        for step in range(edge, parts - edge + 1):
            low = step * len(points) // parts
            one, two = sums[low - 1] / low, (sums[-1] - sums[low - 1]) / (len(points) - low)
            gain = (low * (one - mean) ** 2 + (len(points) - low) * (two - mean) ** 2) / len(points)
            found.append((gain / (mean * (1 - mean)), step / parts, angle))
    gain, share, angle = max(found)
    return [(share, angle)] if gain > least else []


def _cut_by_mass(
    land: Land,
    ring: Ring,
    points: np.ndarray,
    urban: np.ndarray,
    parts: int,
    style: Style,
    draws: Draws,
) -> tuple[tuple[Ring, Ring], np.ndarray] | None:
    """Cut a face across its longer side so that the points fall apart as the parts do."""
    mesh = land.mesh
    frame = mesh.frame(ring) + draws.bell(style.turn)
    bend = draws.bell(style.bend)
    sides = []
    for angle in (frame, frame + math.pi / 2):
        low, high = mesh.extent(ring, angle)
        sides.append((high - low, angle))
    sides.sort(reverse=True)
    ways = _separating(points, urban, parts, [angle for _, angle in sides])
    share = (parts // 2) / parts
    ways += [
        (share + shift, angle) for shift in (0.0, 0.06, -0.06, 0.12, -0.12) for _, angle in sides
    ]
    for share, angle in ways:
        along = MM * (points[:, 0] * math.cos(angle) + points[:, 1] * math.sin(angle))
        offset = float(np.quantile(along, min(max(share, 0.03), 0.97)))
        for curve in (bend, 0.0):
            done = mesh.cut(ring, angle, offset, snap=style.snap, bend=curve, least=0.04)
            if done is not None:
                land.chords.append(Chord(done[2], style.road))
                one, two = done[:2]
                below = along < offset
                cx, cy = mesh.centre(one)
                if cx * math.cos(angle) + cy * math.sin(angle) > offset:
                    one, two = two, one
                return (one, two), below
    return None


def _course(mesh: Mesh, head: int, other: int) -> float:
    """Direction in which the river flows under the bridge between two heads, radians from east."""
    dx, dy = mesh.xs[head] - mesh.xs[other], mesh.ys[head] - mesh.ys[other]
    angle = math.atan2(-dx, dy)
    return angle if abs(angle) < math.pi / 2 else angle - math.copysign(math.pi, angle)


def _bridge_roads(
    land: Land, bank: Ring, heads: list[tuple[int, int]], north: bool, draws: Draws
) -> list[Ring]:
    """Cut a bank along the roads that lead away from the bridges."""
    mesh = land.mesh
    faces = [bank]
    for head, other in heads:
        at = next(i for i, face in enumerate(faces) if head in face)
        face = mesh.expand(faces[at])
        course = _course(mesh, head, other)
        for share in (0.7, 0.9, 0.5, 0.3, 0.0):
            # The line is where x cos + y sin is fixed: it crosses what runs along the angle.
            angle = share * course
            offset = mesh.xs[head] * math.cos(angle) + mesh.ys[head] * math.sin(angle)
            bend = draws.bell(0.015)
            done = mesh.cut(face, angle, offset, snap=4, bend=bend, least=0.01, through=head)
            if done is not None:
                faces[at : at + 1] = done[:2]
                land.chords.append(Chord(done[2], "arterial"))
                break
    return sorted(faces, key=lambda face: mesh.centre(face)[0], reverse=not north)


def _communities(
    land: Land,
    bank: Ring,
    heads: list[tuple[int, int]],
    north: bool,
    people: np.ndarray,
    urban: np.ndarray,
    draws: Draws,
) -> None:
    """Cut one bank into communities of about equal numbers of points."""
    mesh = land.mesh
    for face in _bridge_roads(land, bank, heads, north, draws):
        inside = _inside(mesh, face, people)
        stack = [(face, people[inside], urban[inside])]
        while stack:
            ring, points, town = stack.pop()
            parts = round(len(points) / POINTS)
            halves = None
            if parts > 1:
                ring = mesh.expand(ring)
                style = ARTERIAL if town.mean() > 0.25 else COUNTRY
                halves = _cut_by_mass(land, ring, points, town, parts, style, draws)
            if halves is None:
                kind = "mixed" if len(town) and town.mean() > 0.5 else "village"
                community = Community(ring, kind, 0)
                if kind == "mixed":
                    _trim(land, community, points, town)
                land.communities.append(community)
                continue
            (one, two), below = halves
            stack.append((two, points[~below], town[~below]))
            stack.append((one, points[below], town[below]))


def _trim(land: Land, community: Community, points: np.ndarray, town: np.ndarray) -> None:
    """Part the fields at the edge of town from the built-up part of an urban community."""
    mesh = land.mesh
    core = community.ring
    for _ in range(2):
        core = mesh.expand(core)
        frame = mesh.frame(core)
        for share, angle in _separating(points, town, 24, [frame, frame + math.pi / 2], least=0.25):
            along = MM * (points[:, 0] * math.cos(angle) + points[:, 1] * math.sin(angle))
            offset = float(np.quantile(along, share))
            done = mesh.cut(core, angle, offset, snap=20.0, bend=0.01, least=0.08)
            if done is None:
                continue
            below = along < offset
            sides = [float(town[here].mean()) for here in (below, ~below)]
            one, two = done[:2]
            cx, cy = mesh.centre(one)
            if (cx * math.cos(angle) + cy * math.sin(angle) < offset) != (sides[0] > sides[1]):
                one, two = two, one
            core = one
            community.fringe.append(two)
            land.chords.append(Chord(done[2], "street"))
            here = below if sides[0] > sides[1] else ~below
            points, town = points[here], town[here]
    community.core = core


def _inside(mesh: Mesh, ring: Ring, points: np.ndarray) -> np.ndarray:
    corners = [(mesh.xs[v] / MM, mesh.ys[v] / MM) for v in ring]
    return shapely.contains_xy(shapely.Polygon(corners), points[:, 0], points[:, 1])


def _characters(land: Land, centres: np.ndarray, draws: Draws) -> None:
    """Old town around the first centre, new towns outside, mixed quarters between; their sizes."""
    mesh = land.mesh
    urban = [c for c in land.communities if c.kind != "village"]
    middles = np.asarray([mesh.centre(c.core or c.ring) for c in urban]) / MM
    apart = np.hypot(
        middles[:, None, 0] - centres[None, :, 0], middles[:, None, 1] - centres[None, :, 1]
    ).min(axis=1)
    order = np.argsort(apart, kind="stable")
    for rank, at in enumerate(order.tolist()):
        share = rank / len(urban)
        if share < 0.28:
            urban[at].kind = "old"
        elif share > 0.5 and draws.uniform() < 0.8:
            urban[at].kind = "new"
    for community in land.communities:
        hectares = mesh.area(mesh.expand(community.core or community.ring)) / HECTARE
        if community.kind == "village":
            households = 330 + 1.2 * hectares + draws.bell(70)
            community.households = round(min(max(households, 300), 1100))
        else:
            rate = {"old": 95, "mixed": 100, "new": 115}[community.kind] * (1 + draws.bell(0.12))
            community.households = round(min(max(rate * hectares, 1500), 3500))


# ---------------------------------------------------------------------- the whole


def lay_out(n_units: int, seed: int) -> Land:
    """Lay out a county town of exactly `n_units` units.

    Parameters
    ----------
    n_units : int
        At least 300.
    seed : int
        Seed of every random choice.

    Returns
    -------
    Land
        Faces and land use; coordinates are millimetres around the town's centre.
    """
    draws = Draws(seed)
    land = Land(Mesh())
    urban = max(2, round(n_units * 0.72 / UNITS_PER_URBAN))
    villages = max(2, round(n_units * 0.24 / UNITS_PER_VILLAGE))
    radius = math.sqrt((urban * URBAN_AREA + villages * VILLAGE_AREA) * 1.06 / math.pi)
    people, town, centres = _population_points(urban, villages, radius, draws)
    reach = math.sqrt(urban * URBAN_AREA / math.pi / max(1, round(urban / 45)))
    frame = _frame(land, radius, reach, 6 if n_units >= 1000 else 14, draws)
    # Rural points stand evenly in all land outside the towns: as many as there are villages.
    mesh = land.mesh
    dry = np.logical_or(*(_inside(mesh, bank, people) for bank in frame.banks))
    people, town = people[dry], town[dry]
    keep = town | (np.cumsum(~town) <= villages * POINTS)
    people, town = people[keep], town[keep]
    for number, bank in enumerate(frame.banks):
        heads = [(head[2 * number], head[2 - 2 * number]) for head in frame.heads]
        _communities(land, bank, heads, number == 0, people, town, draws)
    _characters(land, centres, draws)
    owners = _span_the_river(land, frame)
    fill(land, n_units - len(frame.waters), draws)
    land.units += [
        Unit(ring, owner, "water", "river")
        for ring, owner in zip(frame.waters, owners, strict=True)
    ]
    top_up(land, n_units, draws)
    return land


def _span_the_river(land: Land, frame: _Frame) -> list[int]:
    """Number the communities and say whose each stretch of water is.

    Water belongs to the community that holds most of its bank. The two communities east of the
    outer bridge become one, so that there is a community on both sides of the river.
    """
    mesh = land.mesh
    owner: dict[tuple[int, int], int] = {}
    for number, community in enumerate(land.communities):
        community.key = number
        ring = mesh.expand(community.ring)
        owner.update({(b, a): number for a, b in zip(ring, ring[1:] + ring[:1], strict=True)})
    owners = []
    for water in frame.waters:
        ring = mesh.expand(water)
        along: dict[int, float] = {}
        for a, b in zip(ring, ring[1:] + ring[:1], strict=True):
            if (a, b) in owner:
                length = math.hypot(mesh.xs[a] - mesh.xs[b], mesh.ys[a] - mesh.ys[b])
                along[owner[a, b]] = along.get(owner[a, b], 0.0) + length
        owners.append(max(along, key=lambda key: (along[key], -key)))
    east = [
        owners[i]
        for i, water in enumerate(frame.waters)
        if frame.heads[-1][1] in water and mesh.centre(water)[0] > mesh.xs[frame.heads[-1][1]]
    ]
    if len(set(east)) == 2:
        keep, gone = sorted(set(east))
        for community in land.communities:
            if community.key in (keep, gone):
                community.key = keep
                if community.kind != "village":
                    community.households = min(1750, max(800, round(community.households * 0.55)))
        owners = [keep if key == gone else key for key in owners]
    return owners
