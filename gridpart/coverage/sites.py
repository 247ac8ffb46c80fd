"""Checks of what has to stay together or alone: compounds, and exclusive sites."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray

from gridpart.coverage.findings import Finding
from gridpart.coverage.rules import Band
from gridpart.coverage.scene import Scene, column_of
from gridpart.coverage.texts import Texts
from gridpart.rules import site_marks

__all__ = ["check_compounds", "check_exclusive"]

Integers = NDArray[np.int64]


def check_compounds(scene: Scene, column: str, band: Band) -> Iterator[Finding]:
    """Find compounds whose units lie in several zones.

    One that no zone of the band could hold, or that lies in several communities, has to be
    divided: that is a note. Units in no zone are told elsewhere.
    """
    texts = Texts.of(column_of(scene.units, column, "units"))
    _, codes, _ = texts.counts(scene.home)
    split = np.flatnonzero(np.bincount(codes, minlength=len(texts.names)) > 1)
    for code in split:
        units = np.flatnonzero((texts.codes == code) & (scene.home >= 0))
        yield _split_compound(scene, texts.names[code], units, band)


def _split_compound(scene: Scene, name: str, units: Integers, band: Band) -> Finding:
    """Say how a compound is shared out, and why where that cannot be otherwise."""
    weights = np.ones(len(scene.unit_ids), np.int64)
    if scene.unit_households is not None and scene.unit_households[units].any():
        weights = scene.unit_households
    zones = np.unique(scene.home[units])
    held = np.array([weights[units[scene.home[units] == zone]].sum() for zone in zones])
    order = np.lexsort((zones, -held))
    zones, shares = zones[order], held[order] / held.sum()
    away = units[scene.home[units] != zones[0]]
    listed = ", ".join(
        f"{share:.0%} in zone {scene.zones.ids[zone]}"
        for zone, share in zip(zones, shares, strict=True)
    )
    why = _why_divided(scene, units, band)
    first = scene.zones.ids[zones[0]]
    return Finding(
        "compound_split",
        f"compound {name}: {listed}" + (f"; {why}" if why else ""),
        (name, *scene.zones.named(zones)),
        shapely.union_all(scene.unit_shapes[away]),
        scene.households_at(away),
        severity="note" if why else None,
        advice="nothing to do"
        if why
        else f"draw the zone line round the compound: zone {first} holds {shares[0]:.0%} of it",
        advice_chinese="无需整改。" if why else f"整体划入网格{first}（现已占{shares[0]:.0%}）。",
    )


def _why_divided(scene: Scene, units: Integers, band: Band) -> str:
    """Why a compound cannot be kept whole; empty if it can."""
    held = scene.households_at(units)
    if held is not None and band.high is not None and held > band.high:
        return f"with {held} households it is larger than a zone may be"
    if scene.unit_communities is not None:
        texts = scene.unit_communities
        codes = np.setdiff1d(texts.codes[units], [texts.code("")])
        if len(codes) > 1:
            return f"it lies in {len(codes)} communities"
    return ""


# --------------------------------------------------------------------------- exclusive sites


def check_exclusive(scene: Scene, column: str) -> Iterator[Finding]:
    """Find exclusive sites that share a zone with others, or have none that is whole.

    Units that a column names alike are one site; a mere yes makes each connected group of marked
    units in the same zone one. A zone of which the site has most of the ground is its own and is
    mixed; where it has less, the site has no zone of its own.
    """
    marked, names = site_marks(column_of(scene.units, column, "units"))
    for name, units in _sites(scene, marked, names):
        homes = np.unique(scene.home[units])
        homes = homes[homes >= 0]
        if len(homes) != 1 or (scene.home[units] < 0).any():
            yield _without_zone(scene, name, units, homes)
            continue
        inside = scene.units_at(int(homes[0]))
        others = np.setdiff1d(inside, units)
        if not len(others):
            continue
        ground = shapely.area(scene.unit_shapes[inside]).sum()
        own = shapely.area(scene.unit_shapes[units]).sum()
        # points have no ground: count them
        share = own / ground if ground > 0 else len(units) / len(inside)
        if share >= 0.5:
            yield _mixed(scene, name, int(homes[0]), others)
        else:
            yield _without_zone(scene, name, units, homes)


def _sites(
    scene: Scene, marked: NDArray[np.bool_], names: NDArray[np.object_]
) -> Iterator[tuple[str, Integers]]:
    """Name and units of every exclusive site."""
    named = np.flatnonzero(marked & (names != ""))
    for name in np.unique(names[named].astype(str)):
        yield str(name), named[names[named] == name]
    plain = np.flatnonzero(marked & (names == ""))
    for zone in np.unique(scene.home[plain]):
        here = plain[scene.home[plain] == zone]
        yield ", ".join(scene.unit_names(here[:3])), here


def _without_zone(scene: Scene, name: str, units: Integers, homes: Integers) -> Finding:
    zones = scene.zones.named(homes)
    bare = "partly in no zone" if len(homes) else "in no zone"
    where = f"in zone {zones[0]} among others" if len(homes) == 1 else f"in {len(homes)} zones"
    if (scene.home[units] < 0).any():
        where = bare
    return Finding(
        "exclusive_missing",
        f"exclusive site {name} has no zone of its own; it lies {where}",
        (name, *zones),
        shapely.union_all(scene.unit_shapes[units]),
        scene.households_at(units),
    )


def _mixed(scene: Scene, name: str, zone: int, others: Integers) -> Finding:
    own = scene.zones.ids[zone]
    return Finding(
        "exclusive_mixed",
        f"zone {own} of the exclusive site {name} holds other units, too: {len(others)}",
        (own, name, *scene.unit_names(others)),
        shapely.union_all(scene.unit_shapes[others]),
        scene.households_at(others),
    )
