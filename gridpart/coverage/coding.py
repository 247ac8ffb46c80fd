"""Checks of the codes that zones carry: form, parent, uniqueness."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import shapely

from gridpart.coverage.catalogue import Finding
from gridpart.coverage.scene import Scene, column_of
from gridpart.coverage.texts import as_text

__all__ = ["check_codes"]


def check_codes(scene: Scene, code: str, parent: str | None) -> Iterator[Finding]:
    """Run every check of grid codes."""
    column = column_of(scene.zones.frame, code, "zones")
    codes = [as_text(value) for value in column]
    yield from _code_missing(scene, codes)
    yield from _code_duplicate(scene, codes)
    yield from _code_malformed(scene, codes, list(column))
    if parent is not None:
        yield from _code_wrong_parent(scene, codes, _parents(scene, parent))


def _code_missing(scene: Scene, codes: list[str]) -> Iterator[Finding]:
    for row, code in enumerate(codes):
        if not code:
            name = scene.zones.ids[row]
            shape = scene.zones.polygons[row]
            yield Finding("code_missing", f"zone {name} has no code", (name,), shape)


def _code_duplicate(scene: Scene, codes: list[str]) -> Iterator[Finding]:
    named = pd.Series(codes)
    named = named[named != ""]
    for code, rows in named[named.duplicated(keep=False)].groupby(named).groups.items():
        names = scene.zones.named(list(rows))
        shape = shapely.union_all(scene.zones.polygons[list(rows)])
        message = f"code {code} is carried by {len(rows)} zones: {', '.join(names)}"
        yield Finding("code_duplicate", message, names, shape, n=len(rows) - 1)


def _code_malformed(scene: Scene, codes: list[str], values: list[Any]) -> Iterator[Finding]:
    from gridpart.codes import check_code

    for row, (code, value) in enumerate(zip(codes, values, strict=True)):
        if not code:
            continue
        text = isinstance(value, str)
        reason = check_code(code) if text else "is a number, not text: leading zeros would be lost"
        if reason is not None:
            name = scene.zones.ids[row]
            shape = scene.zones.polygons[row]
            yield Finding("code_malformed", f"zone {name}: code {code} {reason}", (name,), shape)


def _parents(scene: Scene, parent: str) -> list[str]:
    """Parent code of each zone: of a column, or one for all."""
    frame = scene.zones.frame
    if parent in frame.columns:
        return [as_text(value) for value in frame[parent]]
    return [str(parent)] * len(frame)


def _code_wrong_parent(scene: Scene, codes: list[str], parents: list[str]) -> Iterator[Finding]:
    for row, (code, parent) in enumerate(zip(codes, parents, strict=True)):
        if code and parent and not code.startswith(parent):
            name = scene.zones.ids[row]
            message = f"zone {name}: code {code} does not begin with its parent {parent}"
            yield Finding("code_wrong_parent", message, (name,), scene.zones.polygons[row])
