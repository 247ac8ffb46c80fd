"""Whether areas of a lower level keep inside one area of the level above."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridpart.coverage.findings import Finding
from gridpart.coverage.scene import Scene
from gridpart.coverage.texts import Texts
from gridpart.errors import InputError, Problem

__all__ = ["check_nesting"]


def check_nesting(scene: Scene, levels: Sequence[str]) -> Iterator[Finding]:
    """Find names of a level whose rows carry several names of the level above.

    Parameters
    ----------
    scene : Scene
    levels : sequence of str
        Columns, the lowest level first: all of them of the zones, or all of the units.

    Raises
    ------
    InputError
        If fewer than two columns are named, or neither layer has them all.
    """
    frame, shapes, households = _layer_of(scene, levels)
    columns = [Texts.of(frame[name]) for name in levels]
    for (lower, below), (upper, above) in pairwise(zip(levels, columns, strict=True)):
        groups, codes, counts = above.counts(below.codes)
        blank = below.code("")
        several = np.flatnonzero(np.bincount(groups, minlength=len(below.names)) > 1)
        for code in several[several != blank]:
            own = groups == code
            best = codes[own][np.argmax(counts[own])]
            listed = [above.names[k] for k in codes[own]]
            away = np.flatnonzero((below.codes == code) & (above.codes != best))
            away = away[above.codes[away] != above.code("")]
            yield Finding(
                "not_nested",
                f"{lower} {below.names[code]} lies in {len(listed)} of {upper}: "
                f"{', '.join(listed)}",
                (below.names[code], *listed),
                shapely.union_all(shapes[away]),
                None if households is None else int(households[away].sum()),
            )


def _layer_of(scene: Scene, levels: Sequence[str]) -> tuple[pd.DataFrame, Any, Any]:
    """The layer that has the columns, its shapes and its households."""
    if isinstance(levels, str) or len(levels) < 2:
        raise InputError(f"levels: name two columns or more, the lowest first, got {levels!r}")
    zones = scene.zones
    if set(levels) <= set(zones.frame.columns):
        return zones.frame, zones.polygons, scene.counted
    if scene.units is not None and set(levels) <= set(scene.units.columns):
        return scene.units, scene.unit_shapes, scene.unit_households
    lacking = [name for name in levels if name not in zones.frame.columns]
    columns = ", ".join(str(column) for column in zones.frame.columns)
    message = f"levels: the zones have no column {', '.join(lacking)}; they have: {columns}"
    if scene.units is not None:
        message += "; nor have the units all of them"
    raise InputError(Problem("missing_column", message))
