"""Whether every zone has staff, and every post zones that hang together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart.coverage.findings import Finding
from gridpart.coverage.people import touching_units
from gridpart.coverage.scene import Scene, column_of
from gridpart.coverage.territory import groups_of
from gridpart.coverage.texts import as_text

__all__ = ["check_staff"]

Integers = NDArray[np.int64]
NAMED = 20


def check_staff(scene: Scene, staff: pd.DataFrame, codes: list[str] | None) -> Iterator[Finding]:
    """Run every check of a table of posts: one row a post and a zone of it.

    Parameters
    ----------
    scene : Scene
    staff : DataFrame
        Columns ``post_id`` and ``grid``, the id of a zone or its code.
    codes : list of str, optional
        Codes of the zones.
    """
    posts = [as_text(value) for value in column_of(staff, "post_id", "staff")]
    wanted = [as_text(value) for value in column_of(staff, "grid", "staff")]
    place = {code: row for row, code in enumerate(codes or []) if code}
    place.update({name: row for row, name in enumerate(scene.zones.ids) if name})
    zone = np.array([place.get(name, -1) for name in wanted], dtype=np.int64)
    yield from _no_staff(scene, zone)
    yield from _post_unknown_zone(posts, wanted, zone)
    yield from _post_scattered(scene, posts, zone)


def _no_staff(scene: Scene, zone: Integers) -> Iterator[Finding]:
    for row in np.setdiff1d(np.arange(len(scene.zones)), zone):
        name = scene.zones.ids[row]
        held = None if scene.counted is None else int(scene.counted[row])
        shape = scene.zones.polygons[row]
        yield Finding("no_staff", f"zone {name} has no staff", (name,), shape, held)


def _post_unknown_zone(posts: list[str], wanted: list[str], zone: Integers) -> Iterator[Finding]:
    """Posts by the zone that they name and nobody has drawn; those that name none as one row."""
    missing = pd.Series(wanted, dtype=object)[zone < 0]
    for name, rows in missing.groupby(missing).groups.items():
        names = tuple(posts[row] for row in rows)
        said = f"zone {name}, which does not exist" if name else "no zone"
        yield Finding(
            "post_unknown_zone",
            f"{_posts(names)} placed on {said}",
            (*names, *filter(None, [str(name)])),
            n=len(names),
            severity=None if name else "warning",
        )


def _posts(names: tuple[str, ...]) -> str:
    listed = ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")
    return f"post {listed} is" if len(names) == 1 else f"{len(names)} posts ({listed}) are"


def _post_scattered(scene: Scene, posts: list[str], zone: Integers) -> Iterator[Finding]:
    """Posts of which the zones fall into groups that do not touch along a line."""
    table = pd.DataFrame({"post": posts, "zone": zone})
    table = table[(zone >= 0) & (table["post"] != "")].drop_duplicates()
    neighbours: dict[int, Integers] = {}
    for post, rows in table.groupby("post")["zone"]:
        own = np.sort(rows.to_numpy())
        if len(own) < 2:
            continue
        for row in own:
            if row not in neighbours:
                neighbours[row] = _beside(scene, int(row))
        links = [
            (k, int(np.searchsorted(own, other)))
            for k, row in enumerate(own)
            for other in np.intersect1d(neighbours[row], own)
        ]
        ends = np.array(links, dtype=np.int64).reshape(-1, 2)
        label = groups_of(len(own), ends[:, 0], ends[:, 1])
        if label.max() == 0:
            continue
        sizes = np.bincount(label)
        away = own[label != sizes.argmax()]
        text = (
            f"the {len(own)} zones of post {post} fall into {len(sizes)} groups that do not touch"
        )
        place = shapely.union_all(scene.zones.polygons[away])
        yield Finding("post_scattered", text, (str(post), *scene.zones.named(own)), place)


def _beside(scene: Scene, row: int) -> Integers:
    """Zones that border on one along a line."""
    cover = scene.cover
    near = touching_units(cover.polygons[row], cover.polygons, cover.tree, scene.tolerance)
    return near[near != row]
