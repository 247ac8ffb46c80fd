"""Blocks, walled compounds, parcels, natural villages and fields of a synthetic town."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gridpart.samples.mesh import MM, Chord, Draws, Mesh, Ring, Style

__all__ = ["COUNTRY", "HECTARE", "Community", "Land", "Unit", "fill", "top_up"]

HECTARE = 10_000.0
HAMLET_PLOT = 330.0  # square metres of hamlet per household, yards and lanes included
BLOCK_AREA = {"old": 1.3 * HECTARE, "mixed": 2.3 * HECTARE, "new": 3.6 * HECTARE}
HOUSEHOLDS_PER_UNIT = {"old": 11.0, "mixed": 18.0, "new": 42.0, "village": 8.0}

COUNTRY = Style("country", snap=40.0, spread=0.05, turn=0.15, bend=0.05)
STREET = {
    "old": Style("street", snap=16.0, spread=0.06, turn=0.10, bend=0.035),
    "mixed": Style("street", snap=24.0, spread=0.05, turn=0.05, bend=0.02),
    "new": Style("street", snap=28.0, spread=0.04, turn=0.02, bend=0.01),
}
LANE = {
    "old": Style("lane", snap=3.0, spread=0.06, turn=0.06, bend=0.02),
    "mixed": Style("", snap=3.0, spread=0.05, turn=0.015),
    "new": Style("", snap=4.0, spread=0.03, turn=0.008),
    "village": Style("lane", snap=2.5, spread=0.06, turn=0.09, bend=0.02),
}
FIELD = Style("", snap=12.0, spread=0.07, turn=0.06, bend=0.015)
TRACK = Style("track", snap=12.0)


@dataclass
class Community:
    """One community while the town is laid out."""

    ring: Ring
    kind: str  # old, mixed, new or village
    households: int
    key: int = -1
    quota: int = 0
    core: Ring = field(default_factory=list)  # the built-up part, if some of it is fields
    fringe: list[Ring] = field(default_factory=list)


@dataclass
class Unit:
    """One unit: its face and the use of its land."""

    ring: Ring
    community: int
    kind: str
    quarter: str
    compound: int = 0  # 0: not in a walled compound


@dataclass
class Land:
    """A laid-out town."""

    mesh: Mesh
    communities: list[Community] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    chords: list[Chord] = field(default_factory=list)
    river: Ring = field(default_factory=list)
    bridges: list[Ring] = field(default_factory=list)
    compounds: int = 0


# ---------------------------------------------------------------------- blocks and parcels


def _apportion(weights: list[float], total: int) -> list[int]:
    """Whole numbers of at least 1 with a given sum, by largest remainders."""
    spare = total - len(weights)
    if spare < 0:
        raise ValueError(f"{total} cannot be shared out to {len(weights)} places")
    scale = spare / sum(weights)
    exact = [w * scale for w in weights]
    out = [int(e) for e in exact]
    order = sorted(range(len(exact)), key=lambda i: (out[i] - exact[i], i))
    for i in order[: spare - sum(out)]:
        out[i] += 1
    return [1 + o for o in out]


def _urban(land: Land, community: Community, sites: list[str], draws: Draws) -> None:
    """Cut an urban community into blocks by streets, and the blocks into cells."""
    mesh, quarter, key = land.mesh, community.kind, community.key
    ring = mesh.expand(community.core or community.ring)
    _fringe(land, community, draws)
    count = max(3, min(round(mesh.area(ring) / BLOCK_AREA[quarter]), community.quota // 4))
    blocks = mesh.divide(ring, count, STREET[quarter], draws, land.chords)
    areas = [mesh.area(block) for block in blocks]
    uses = _uses(blocks, areas, quarter, sites, draws)
    single = {"school", "market", "factory", "green"}
    weight = {"residential": 1.0, "compound": 0.8}
    shares = [
        0.0 if use in single else area * weight[use] for area, use in zip(areas, uses, strict=True)
    ]
    quotas = _apportion(shares, community.quota)
    for block, use, quota in zip(blocks, uses, quotas, strict=True):
        if use in single:
            land.units.append(Unit(block, key, use, quarter))
            continue
        compound = 0
        if use == "compound":
            land.compounds += 1
            compound = land.compounds
        cells = mesh.divide(block, quota, LANE[quarter], draws, land.chords)
        kinds = _cell_kinds(mesh, cells, use, draws)
        land.units += [
            Unit(cell, key, kind, quarter, compound)
            for cell, kind in zip(cells, kinds, strict=True)
        ]


def _fringe(land: Land, community: Community, draws: Draws) -> None:
    """Fields at the edge of town, a few of the community's units."""
    mesh = land.mesh
    for ring in community.fringe:
        count = min(max(1, round(mesh.area(mesh.expand(ring)) / (7 * HECTARE))), 12)
        count = min(count, max(1, community.quota // 12))
        community.quota -= count
        for cell in mesh.divide(ring, count, FIELD, draws, land.chords):
            land.units.append(
                Unit(cell, community.key, _field_kind(mesh, cell, draws), community.kind)
            )


def _uses(
    blocks: list[Ring], areas: list[float], quarter: str, sites: list[str], draws: Draws
) -> list[str]:
    """The use of every block: exclusive sites first, then compounds, parks and lanes."""
    uses = [""] * len(blocks)
    middle = sum(areas) / len(areas)
    for site in sites[: len(blocks) - 1]:  # one block at least is lived in
        size = 2.2 * middle if site == "factory" else 0.8 * middle
        free = [i for i, use in enumerate(uses) if not use]
        uses[min(free, key=lambda i: abs(areas[i] - size))] = site
    parks = 2
    walled = {"old": 0.06, "mixed": 0.34, "new": 0.78}[quarter]
    for i, use in enumerate(uses):
        if use:
            continue
        draw = draws.uniform()
        if draw < 0.07 and areas[i] < 1.1 * middle and parks:
            uses[i] = "green"
            parks -= 1
        else:
            uses[i] = "compound" if draw < 0.07 + walled else "residential"
    if not any(use in ("compound", "residential") for use in uses):
        uses[uses.index("green") if "green" in uses else 0] = "residential"
    return uses


def _cell_kinds(mesh: Mesh, cells: list[Ring], use: str, draws: Draws) -> list[str]:
    """Kinds of a block's cells: homes, shops and offices, and one garden in a compound."""
    kinds = [use if draws.uniform() > 0.07 else "public" for _ in cells]
    if use == "compound" and len(cells) >= 6:
        middles = [mesh.centre(cell) for cell in cells]
        x = sum(m[0] for m in middles) / len(cells)
        y = sum(m[1] for m in middles) / len(cells)
        garden = min(
            range(len(cells)), key=lambda i: math.hypot(middles[i][0] - x, middles[i][1] - y)
        )
        kinds[garden] = "green"
    if use not in kinds:
        kinds[0] = use
    return kinds


def _rural(land: Land, community: Community, sites: list[str], draws: Draws) -> list[str]:
    """Natural villages as dense cores in the fields; returns the sites that found no field."""
    mesh, key = land.mesh, community.key
    ring = mesh.expand(community.ring)
    area = mesh.area(ring)
    parts = max(1, min(4, round(area / (52 * HECTARE)), community.quota // 22))
    faces = mesh.divide(ring, parts, COUNTRY, draws, land.chords)
    sizes = [draws.uniform(0.4, 1.6) for _ in faces]
    fields: list[Ring] = []
    hamlets: list[Ring] = []
    for face, size in zip(faces, sizes, strict=True):
        households = community.households * size / sum(sizes)
        core, around = _carve(land, mesh.expand(face), households * HAMLET_PLOT, draws)
        fields += around
        hamlets.append(core)
    places = [*hamlets, *fields]
    dense = min(0.85, 1 - 2.2 * len(fields) / community.quota)
    home, open_land = sum(map(mesh.area, hamlets)), sum(map(mesh.area, fields))
    shares = [dense * mesh.area(h) / home for h in hamlets]
    shares += [(1 - dense) * mesh.area(f) / open_land for f in fields]
    quotas = _apportion(shares, community.quota)
    spare = range(len(hamlets), len(places))
    if not spare:
        sites, waiting = [], sites
    else:
        waiting = []
    works = {
        max(spare, key=lambda i: -abs(mesh.area(places[i]) - 5 * HECTARE)): site for site in sites
    }
    for i, (place, quota) in enumerate(zip(places, quotas, strict=True)):
        style = LANE["village"] if i < len(hamlets) else FIELD
        cells = mesh.divide(place, quota, style, draws, land.chords)
        for at, cell in enumerate(cells):
            if i < len(hamlets):
                kind = "village" if draws.uniform() > 0.06 else "public"
            elif i in works and at == 0:
                kind = works[i]
            else:
                kind = _field_kind(mesh, cell, draws)
            land.units.append(Unit(cell, key, kind, "village"))
    return waiting


def _field_kind(mesh: Mesh, cell: Ring, draws: Draws) -> str:
    """Farmland mostly, some woods, and ponds where a face is small and round."""
    draw = draws.uniform()
    cell = mesh.expand(cell)
    round_enough = compactness(mesh, cell) > 0.6 and mesh.area(cell) < 6 * HECTARE
    if draw < 0.04 and round_enough:
        return "water"
    return "green" if 0.04 <= draw < 0.2 else "farmland"


def compactness(mesh: Mesh, ring: Ring) -> float:
    """Isoperimetric quotient 4 pi A / P^2 of a face."""
    xs, ys = mesh.xs, mesh.ys
    around = zip(ring, ring[1:] + ring[:1], strict=True)
    length = sum(math.hypot(xs[a] - xs[b], ys[a] - ys[b]) for a, b in around) / MM
    return 4 * math.pi * mesh.area(ring) / length**2


def _carve(land: Land, face: Ring, size: float, draws: Draws) -> tuple[Ring, list[Ring]]:
    """Cut a core of about `size` square metres out of a face by up to four field tracks."""
    mesh = land.mesh
    x, y = mesh.centre(face)
    x, y = x + MM * draws.bell(30), y + MM * draws.bell(30)
    if not mesh.contains(face, x, y):
        return face, []
    frame = mesh.frame(face) + draws.bell(0.2)
    half = 500 * math.sqrt(min(size, 0.4 * mesh.area(face)))
    stretch = draws.uniform(0.8, 1.3)
    around: list[Ring] = []
    for side in range(4):
        angle = frame + side * math.pi / 2 + draws.bell(0.06)
        reach = half * (stretch if side % 2 else 1 / stretch) * draws.uniform(0.85, 1.15)
        offset = x * math.cos(angle) + y * math.sin(angle) + reach
        done = mesh.cut(
            mesh.expand(face), angle, offset, snap=TRACK.snap, bend=draws.bell(0.02), least=0.03
        )
        if done is None:
            continue
        one, two, path = done
        land.chords.append(Chord(path, TRACK.road))
        if not mesh.contains(one, x, y):
            one, two = two, one
        face = one
        around.append(two)
    return face, around


def fill(land: Land, total: int, draws: Draws) -> None:
    """Share the units out to the communities and cut each."""
    communities = land.communities
    weights = [c.households / HOUSEHOLDS_PER_UNIT[c.kind] for c in communities]
    for community, quota in zip(communities, _apportion(weights, total), strict=True):
        community.quota = quota
    town = sites = 0
    waiting: list[str] = []
    for community in communities:
        if community.kind == "village":
            sites += 1
            if sites % 5 == 2:
                waiting.append("factory")
            waiting = _rural(land, community, waiting[:1], draws) + waiting[1:]
            continue
        planned: list[str] = []
        town += 1
        if town % 3 == 1:
            planned.append("school")
        if town % 5 == 2:
            planned.append("market")
        if town % 6 == 0 and community.kind == "new":
            planned.append("factory")
        _urban(land, community, planned, draws)


def top_up(land: Land, total: int, draws: Draws) -> None:
    """Cut the largest homes and fields until the number is met, where faces could not be cut."""
    mesh = land.mesh
    apt = {"residential", "compound", "village", "farmland"}
    while len(land.units) < total:
        large = sorted(
            (i for i, unit in enumerate(land.units) if unit.kind in apt),
            key=lambda i: -mesh.area(mesh.expand(land.units[i].ring)),
        )
        before = len(land.units)
        for tried, i in enumerate(large):
            # the next largest only where none of the first could be cut
            if len(land.units) == total or (tried >= total - before and len(land.units) > before):
                break
            unit = land.units[i]
            halves = mesh.divide(mesh.expand(unit.ring), 2, FIELD, draws, land.chords)
            unit.ring = halves[0]
            for ring in halves[1:]:
                land.units.append(
                    Unit(ring, unit.community, unit.kind, unit.quarter, unit.compound)
                )
        if len(land.units) == before:
            raise ValueError(f"only {before} of {total} units could be cut")
