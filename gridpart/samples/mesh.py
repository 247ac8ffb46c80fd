"""A planar map that is cut face by face and stays edge-matched, for synthetic places.

A face is a ring of vertex numbers. Cutting it puts new vertices on edges that its neighbours
share; the mesh remembers where, and :meth:`Mesh.expand` gives every face all vertices on its
border. Coordinates are whole millimetres, so two faces agree to the last digit. The way of
dividing, across the longer side of the face's own frame until enough parts are there, follows
Vanegas et al. (2012), Procedural generation of parcels in urban modeling, Computer Graphics Forum
31 (2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["MM", "Chord", "Draws", "Mesh", "Style"]

MM = 1000  # coordinates are whole millimetres
Ring = list[int]


class Draws:
    """Uniform random numbers drawn in bulk: single draws would cost more than the geometry."""

    def __init__(self, seed: int | np.random.SeedSequence) -> None:
        self.generator = np.random.Generator(np.random.PCG64(seed))
        self._stream = self._uniform()

    def _uniform(self) -> Iterator[float]:
        while True:
            yield from self.generator.random(65536).tolist()

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * next(self._stream)

    def bell(self, scale: float) -> float:
        """Bell-shaped around 0 with standard deviation `scale`, never beyond 3.5 of them."""
        draw = self._stream
        return scale * 2.0 * (next(draw) + next(draw) + next(draw) - 1.5)


@dataclass(frozen=True)
class Style:
    """How faces are divided.

    Parameters
    ----------
    road : str
        Class of the roads that run along the cuts; ``""`` draws none.
    snap : float
        Metres within which a cut ends on an existing corner.
    spread : float
        How far the cut wanders from the wanted share.
    turn : float
        Radians (standard deviation) by which a cut leaves the frame of its face.
    bend : float
        Sagitta of a cut relative to its length (standard deviation).
    """

    road: str = ""
    snap: float = 2.0
    spread: float = 0.06
    turn: float = 0.0
    bend: float = 0.0


@dataclass(frozen=True)
class Chord:
    """A cut that was made: its vertices, and the class of the road along it."""

    path: tuple[int, ...]
    road: str


class Mesh:
    """Vertices, and which vertex was put on which edge."""

    def __init__(self) -> None:
        self.xs: list[int] = []
        self.ys: list[int] = []
        self._on_edge: dict[tuple[int, int], int] = {}

    def vertex(self, x: float, y: float) -> int:
        """Number of a new vertex at (x, y) millimetres, rounded."""
        self.xs.append(round(x))
        self.ys.append(round(y))
        return len(self.xs) - 1

    def _between(self, a: int, b: int, out: list[int]) -> None:
        middle = self._on_edge.get((a, b) if a < b else (b, a))
        if middle is not None:
            self._between(a, middle, out)
            out.append(middle)
            self._between(middle, b, out)

    def expand(self, path: Ring, *, closed: bool = True) -> Ring:
        """The path with every vertex that was put on its edges since."""
        out: Ring = []
        on_edge = self._on_edge
        last = len(path) - 1
        for at, a in enumerate(path):
            out.append(a)
            if at == last and not closed:
                break
            b = path[at + 1] if at < last else path[0]
            if ((a, b) if a < b else (b, a)) in on_edge:
                self._between(a, b, out)
        return out

    def area(self, ring: Ring) -> float:
        """Signed area of a ring in square metres, positive if counter-clockwise."""
        xs, ys = self.xs, self.ys
        b = ring[-1]
        x0, y0 = xs[b], ys[b]
        total = 0
        px = py = 0
        for v in ring:
            x, y = xs[v] - x0, ys[v] - y0
            total += px * y - x * py
            px, py = x, y
        return total / (2.0 * MM * MM)

    def frame(self, ring: Ring) -> float:
        """Direction of the face in radians: mean of its edges' directions modulo 90 degrees."""
        xs, ys = self.xs, self.ys
        c = s = 0.0
        a = ring[-1]
        for b in ring:
            dx, dy = xs[b] - xs[a], ys[b] - ys[a]
            # (dx + i dy)^4 / length^2 without a trigonometric call per edge
            re, im = dx * dx - dy * dy, 2 * dx * dy
            weight = float(dx * dx + dy * dy) or 1.0
            c += (re * re - im * im) / weight
            s += 2 * re * im / weight
            a = b
        return math.atan2(s, c) / 4.0

    def extent(self, ring: Ring, angle: float) -> tuple[float, float]:
        """Lowest and highest position of a ring along a direction, in millimetres."""
        ux, uy = math.cos(angle), math.sin(angle)
        along = [self.xs[v] * ux + self.ys[v] * uy for v in ring]
        return min(along), max(along)

    # ------------------------------------------------------------------ cutting

    def cut(
        self,
        ring: Ring,
        angle: float,
        offset: float,
        *,
        snap: float,
        bend: float = 0.0,
        least: float = 0.1,
        through: int | None = None,
    ) -> tuple[Ring, Ring, tuple[int, ...]] | None:
        """Cut an expanded ring along a line.

        Parameters
        ----------
        ring : list of int
            Vertices, counter-clockwise, expanded.
        angle, offset : float
            The line is where ``x cos(angle) + y sin(angle) == offset`` (radians, millimetres).
        snap : float
            Metres; a crossing this near to a corner ends on the corner.
        bend : float, default 0
            Sagitta of the cut relative to its length.
        least : float, default 0.1
            Smallest share of the area that both sides must have.
        through : int, optional
            A vertex of the ring in which the cut must end.

        Returns
        -------
        tuple of (list of int, list of int, tuple of int), or None
            The two sides and the cut; ``None`` if this line makes no sound cut, in which case
            nothing was changed.
        """
        crossings = self._crossings(ring, angle, offset, snap * MM)
        best: tuple[float, int] | None = None
        for at in range(0, len(crossings) - 1, 2):
            first, second = crossings[at], crossings[at + 1]
            ends = {ring[first[1]] if first[2] is None else -1}
            ends.add(ring[second[1]] if second[2] is None else -1)
            if through is not None and through not in ends:
                continue
            span = second[0] - first[0]
            if best is None or span > best[0]:
                best = (span, at)
        if best is None:
            return None
        return self._open(ring, crossings[best[1]], crossings[best[1] + 1], snap * MM, bend, least)

    def _crossings(
        self, ring: Ring, angle: float, offset: float, snap: float
    ) -> list[tuple[float, int, tuple[float, float] | None]]:
        """Where a line meets a ring: position along it, vertex or edge, new point if any."""
        xs, ys = self.xs, self.ys
        ux, uy = math.cos(angle), math.sin(angle)
        beside = [xs[v] * ux + ys[v] * uy - offset for v in ring]
        found: list[tuple[float, int, tuple[float, float] | None]] = []
        count = len(ring)
        for i in range(count):
            j = i + 1 if i + 1 < count else 0
            di, dj = beside[i], beside[j]
            if (di < 0) == (dj < 0):
                continue
            share = di / (di - dj)
            a, b = ring[i], ring[j]
            dx, dy = xs[b] - xs[a], ys[b] - ys[a]
            length = math.hypot(dx, dy)
            x, y = xs[a] + share * dx, ys[a] + share * dy
            position = y * ux - x * uy
            if share * length < snap and share <= 0.5:
                found.append((position, i, None))
            elif (1 - share) * length < snap:
                found.append((position, j, None))
            else:
                found.append((position, i, (x, y)))
        found.sort()
        return found

    def _open(
        self,
        ring: Ring,
        first: tuple[float, int, tuple[float, float] | None],
        second: tuple[float, int, tuple[float, float] | None],
        snap: float,
        bend: float,
        least: float,
    ) -> tuple[Ring, Ring, tuple[int, ...]] | None:
        """Cut between two crossings, if both sides are sound."""
        xs, ys = self.xs, self.ys
        p = first[2] or (xs[ring[first[1]]], ys[ring[first[1]]])
        q = second[2] or (xs[ring[second[1]]], ys[ring[second[1]]])
        bends = self._bends(p, q, bend)
        skip = {crossing[1] for crossing in (first, second) if crossing[2] is None}
        points = [p, *bends, q]
        corners = [None if crossing[2] else crossing[1] for crossing in (first, second)]
        for corner, toward in zip(corners, (points[1], points[-2]), strict=True):
            if corner is not None and not self._inward(ring, corner, toward):
                return None
        for at, (start, stop) in enumerate(pairwise(points)):
            ends = {corners[0] if at == 0 else None, corners[1] if at == len(bends) else None}
            if not self._clear(ring, start, stop, skip, ends, snap * 0.4):
                return None
        # Provisional vertices: taken back if a side turns out too small.
        mark = len(xs)
        u = ring[first[1]] if first[2] is None else self.vertex(*p)
        w = ring[second[1]] if second[2] is None else self.vertex(*q)
        middle = [self.vertex(*point) for point in bends]
        whole: Ring = []
        for i, v in enumerate(ring):
            whole.append(v)
            here = [
                (crossing, new)
                for crossing, new in ((first, u), (second, w))
                if crossing[1] == i and crossing[2] is not None
            ]
            if len(here) == 2:  # both on one edge: no sound cut
                del xs[mark:], ys[mark:]
                return None
            whole += [new for _, new in here]
        at_u, at_w = whole.index(u), whole.index(w)
        low, high = min(at_u, at_w), max(at_u, at_w)
        inner, outer = whole[low : high + 1], whole[high:] + whole[: low + 1]
        there = middle if at_u < at_w else middle[::-1]
        one, two = inner + there[::-1], outer + there
        if min(len(one), len(two)) < 3:
            del xs[mark:], ys[mark:]
            return None
        area_one, area_two = self.area(one), self.area(two)
        if min(area_one, area_two) < least * (area_one + area_two):
            del xs[mark:], ys[mark:]
            return None
        for crossing, new in ((first, u), (second, w)):
            if crossing[2] is not None:
                a, b = ring[crossing[1]], ring[(crossing[1] + 1) % len(ring)]
                self._on_edge[(a, b) if a < b else (b, a)] = new
        return one, two, (u, *middle, w)

    @staticmethod
    def _bends(
        p: tuple[float, float], q: tuple[float, float], bend: float
    ) -> list[tuple[float, float]]:
        """Points of a gentle double curve between two ends; none if it would be straight."""
        dx, dy = q[0] - p[0], q[1] - p[1]
        length = math.hypot(dx, dy) / MM
        if abs(bend) * length < 0.5:
            return []
        count = max(1, min(9, int(length / 70)))
        out = []
        for step in range(1, count + 1):
            t = step / (count + 1)
            away = bend * (math.sin(math.pi * t) + 0.45 * math.sin(2 * math.pi * t))
            out.append((p[0] + t * dx - away * dy, p[1] + t * dy + away * dx))
        return out

    def _inward(self, ring: Ring, at: int, toward: tuple[float, float]) -> bool:
        """Whether a segment leaves a corner of a ring into the ring."""
        xs, ys = self.xs, self.ys
        x, y = xs[ring[at]], ys[ring[at]]
        before, after = ring[at - 1], ring[(at + 1) % len(ring)]
        ax, ay, bx, by = xs[after] - x, ys[after] - y, xs[before] - x, ys[before] - y
        dx, dy = toward[0] - x, toward[1] - y
        from_after, to_before = ax * dy - ay * dx > 0, dx * by - dy * bx > 0
        if ax * by - ay * bx > 0:
            return from_after and to_before
        return from_after or to_before

    def _clear(
        self,
        ring: Ring,
        p: tuple[float, float],
        q: tuple[float, float],
        skip: set[int],
        ends: set[int | None],
        room: float,
    ) -> bool:
        """Whether the segment p-q keeps `room` from the ring's vertices and crosses no edge.

        Vertices in `skip` may be near; those in `ends`, where it begins or ends, have edges that
        it meets.
        """
        xs, ys = self.xs, self.ys
        px, py = p
        dx, dy = q[0] - px, q[1] - py
        length = math.hypot(dx, dy)
        if length < 1.0:
            return False
        dx, dy = dx / length, dy / length
        rel = [(xs[v] - px, ys[v] - py) for v in ring]
        along = [x * dx + y * dy for x, y in rel]
        beside = [y * dx - x * dy for x, y in rel]
        for i, (s, d) in enumerate(zip(along, beside, strict=True)):
            if i not in skip and -room < s < length + room and -room < d < room:
                return False
        tip = 2.0
        previous = len(ring) - 1
        for i in range(len(ring)):
            j, previous = previous, i
            if (beside[i] < 0) == (beside[j] < 0) or i in ends or j in ends:
                continue
            s = along[j] + (along[i] - along[j]) * beside[j] / (beside[j] - beside[i])
            if tip < s < length - tip:
                return False
        return True

    def split_between(self, ring: Ring, u: int, w: int) -> tuple[Ring, Ring]:
        """Cut a ring along the straight line between two of its vertices."""
        low, high = sorted((ring.index(u), ring.index(w)))
        return ring[low : high + 1], ring[high:] + ring[: low + 1]

    # ------------------------------------------------------------------ dividing

    def halve(
        self, ring: Ring, share: float, style: Style, draws: Draws
    ) -> tuple[Ring, Ring, Chord] | None:
        """Cut an expanded ring across its longer side, about `share` of its length from an end."""
        frame = self.frame(ring) + (draws.bell(style.turn) if style.turn else 0.0)
        spans = []
        for quarter in (0.0, math.pi / 2):
            low, high = self.extent(ring, frame + quarter)
            spans.append((high - low, low, frame + quarter))
        spans.sort(reverse=True)
        wander = draws.bell(style.spread)
        bend = draws.bell(style.bend) if style.bend else 0.0
        tries = ((style.snap, bend, 0.0), (style.snap, 0.0, 0.05), (0.5, 0.0, -0.07), (0.3, 0.0, 0))
        for snap, curve, shift in tries:
            for span, low, angle in spans:
                at = min(max(share + wander + shift, 0.2), 0.8)
                least = min(share, 1 - share) * 0.45
                parts = self.cut(ring, angle, low + at * span, snap=snap, bend=curve, least=least)
                if parts is not None:
                    return parts[0], parts[1], Chord(parts[2], style.road)
        return None

    def divide(
        self, ring: Ring, parts: int, style: Style, draws: Draws, chords: list[Chord]
    ) -> list[Ring]:
        """Divide a face into `parts` faces of about equal area, fewer where no sound cut exists."""
        done: list[Ring] = []
        stack = [(ring, parts)]
        while stack:
            face, count = stack.pop()
            if count <= 1:
                done.append(face)
                continue
            face = self.expand(face)
            halves = self.halve(face, (count // 2) / count, style, draws)
            if halves is None:
                done.append(face)
                continue
            one, two, chord = halves
            if chord.road:
                chords.append(chord)
            share = self.area(one) / (self.area(one) + self.area(two))
            first = min(max(round(count * share), 1), count - 1)
            stack.append((two, count - first))
            stack.append((one, first))
        return done

    def contains(self, ring: Ring, x: float, y: float) -> bool:
        """Whether a point (millimetres) lies inside a ring."""
        xs, ys = self.xs, self.ys
        inside = False
        a = ring[-1]
        for b in ring:
            ya, yb = ys[a], ys[b]
            if (ya > y) != (yb > y) and x < xs[a] + (xs[b] - xs[a]) * (y - ya) / (yb - ya):
                inside = not inside
            a = b
        return inside

    def centre(self, ring: Ring) -> tuple[float, float]:
        """Centroid of a ring, millimetres."""
        xs, ys = self.xs, self.ys
        x0, y0 = xs[ring[0]], ys[ring[0]]
        sx = sy = total = 0.0
        a = ring[-1]
        for b in ring:
            ax, ay, bx, by = xs[a] - x0, ys[a] - y0, xs[b] - x0, ys[b] - y0
            cross = float(ax * by - bx * ay)
            sx += (ax + bx) * cross
            sy += (ay + by) * cross
            total += cross
            a = b
        return x0 + sx / (3 * total), y0 + sy / (3 * total)
