"""Checks of what has to stay together or alone: compounds, and exclusive sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridpart.coverage.findings import Finding
from gridpart.coverage.nesting import check_nesting
from gridpart.coverage.rules import Band
from gridpart.coverage.scene import Scene, column_of
from gridpart.coverage.territory import groups_of
from gridpart.coverage.texts import as_text
from gridpart.rules import site_marks

__all__ = ["check_compounds", "check_exclusive", "check_order", "spare_exclusive"]

Integers = NDArray[np.int64]
# Share of the ground of a zone from which on it is that of an exclusive site.
MOSTLY = 0.5


def check_order(
    scene: Scene,
    band: Band,
    compound: str | None,
    exclusive: str | None,
    levels: Sequence[str] | None,
) -> Iterator[Finding]:
    """Run every check of how units are grouped, of those that were asked for."""
    if compound is not None:
        yield from check_compounds(scene, compound, band, exclusive)
    if exclusive is not None:
        yield from check_exclusive(scene, exclusive)
    if levels is not None:
        yield from check_nesting(scene, levels)


def _by_site(scene: Scene, names: NDArray[np.object_]) -> Iterator[tuple[str, Integers]]:
    """Units of each name, apart by community: a site ends at the border of its community."""
    named = np.flatnonzero(names != "")
    keys = pd.DataFrame({"name": names[named].astype(str)})
    texts = scene.unit_communities
    keys["community"] = 0 if texts is None else texts.codes[named]
    for (name, _), rows in keys.groupby(["name", "community"]).groups.items():
        yield str(name), named[np.asarray(rows)]


def check_compounds(
    scene: Scene, column: str, band: Band, exclusive: str | None = None
) -> Iterator[Finding]:
    """Find compounds whose units lie in several zones.

    One that no zone of the band could hold, or whose parts do not touch, has to be divided: that
    is a note. Units in no zone are told elsewhere, and exclusive ones are no part of it.
    """
    names = np.array([as_text(value) for value in column_of(scene.units, column, "units")], object)
    if exclusive is not None:
        names[site_marks(column_of(scene.units, exclusive, "units"))[0]] = ""
    names[scene.home < 0] = ""
    for name, units in _by_site(scene, names):
        if (scene.home[units] != scene.home[units[0]]).any():
            yield _split_compound(scene, name, units, band)


def _split_compound(scene: Scene, name: str, units: Integers, band: Band) -> Finding:
    """Say how a compound is shared out, and why where that cannot be otherwise."""
    held = scene.unit_households
    weights = np.ones(len(units), np.int64) if held is None else held[units]
    if not weights.any():
        weights = np.ones(len(units), np.int64)
    zones, which = np.unique(scene.home[units], return_inverse=True)
    shares = np.bincount(which, weights) / weights.sum()
    order = np.lexsort((zones, -shares))
    zones, shares = zones[order], shares[order]
    away = units[scene.home[units] != zones[0]]
    listed = ", ".join(
        f"{share:.0%} in zone {scene.zones.ids[zone]}"
        for zone, share in zip(zones, shares, strict=True)
    )
    why = _why_divided(scene, units, band)
    first = scene.zones.ids[zones[0]]
    advice = f"draw the zone line round the compound: zone {first} holds {shares[0]:.0%} of it"
    return Finding(
        "compound_split",
        f"compound {name}: {listed}" + (f"; {why}" if why else ""),
        (name, *scene.zones.named(zones)),
        shapely.union_all(scene.unit_shapes[away]),
        scene.households_at(away),
        severity="note" if why else None,
        advice="nothing to do" if why else advice,
        advice_chinese="无需整改。" if why else f"整体划入网格{first}（现已占{shares[0]:.0%}）。",
    )


def _why_divided(scene: Scene, units: Integers, band: Band) -> str:
    """Why a compound cannot be kept whole; empty if it can."""
    held = scene.households_at(units)
    if held is not None and band.high is not None and held > band.high:
        return f"with {held} households it is larger than a zone may be"
    shapes = scene.unit_shapes[units]
    if (shapely.area(shapes) > 0).all():
        first, second = shapely.STRtree(shapes).query(shapes, "dwithin", scene.tolerance)
        part = groups_of(len(units), first, second)
        homes = np.unique(np.column_stack([part, scene.home[units]]), axis=0)
        if len(homes) == part.max() + 1:
            return "its parts do not touch each other"
    return ""


# --------------------------------------------------------------------------- exclusive sites


def check_exclusive(scene: Scene, column: str) -> Iterator[Finding]:
    """Find exclusive sites that share a zone with others, or lie in none.

    Units that a column names alike are one site; a mere yes makes the marked units of a zone one.
    A zone of which a site has most of the ground is its own and is mixed; where it has less, the
    site has no zone of its own.
    """
    marked, names = site_marks(column_of(scene.units, column, "units"))
    names = np.where(marked, names, "")
    yield from _exclusive_sites(scene, _by_site(scene, names))
    plain = np.flatnonzero(marked & (names == ""))
    by_zone = (plain[scene.home[plain] == zone] for zone in np.unique(scene.home[plain]))
    yield from _exclusive_sites(
        scene, ((", ".join(scene.unit_names(units[:3])), units) for units in by_zone)
    )


def _exclusive_sites(scene: Scene, sites: Iterable[tuple[str, Integers]]) -> Iterator[Finding]:
    for name, units in sites:
        bare = units[scene.home[units] < 0]
        if len(bare):
            yield _without_zone(scene, name, bare, "lies in no zone", ())
        for zone in np.unique(scene.home[units[scene.home[units] >= 0]]):
            yield from _alone(scene, name, int(zone), units)


def _alone(scene: Scene, name: str, zone: int, units: Integers) -> Iterator[Finding]:
    """Whether a zone with units of a site holds nothing else."""
    inside = scene.units_at(zone)
    own = np.intersect1d(inside, units)
    others = np.setdiff1d(inside, units)
    if not len(others):
        return
    ground = shapely.area(scene.unit_shapes[inside]).sum()
    # points have no ground: count them
    share = (
        shapely.area(scene.unit_shapes[own]).sum() / ground
        if ground > 0
        else len(own) / len(inside)
    )
    zone_id = scene.zones.ids[zone]
    if share >= MOSTLY:
        yield Finding(
            "exclusive_mixed",
            f"zone {zone_id} of the exclusive site {name} holds other units, too: {len(others)}",
            (zone_id, name, *scene.unit_names(others)),
            shapely.union_all(scene.unit_shapes[others]),
            scene.households_at(others),
        )
    else:
        yield _without_zone(scene, name, own, f"lies in zone {zone_id} among others", (zone_id,))


def spare_exclusive(scene: Scene, findings: list[Finding], column: str) -> None:
    """Make findings about the band notes where a zone holds nothing but an exclusive site."""
    marked = site_marks(column_of(scene.units, column, "units"))[0]
    for finding in findings:
        if finding.check in ("below_band", "above_band") and finding.rows:
            inside = scene.units_at(finding.rows[0])
            if len(inside) and marked[inside].all():
                finding.severity = "note"
                finding.message += "; an exclusive site: the band does not apply"
                finding.advice, finding.advice_chinese = "nothing to do", "无需整改。"


def _without_zone(
    scene: Scene, name: str, units: Integers, where: str, zones: tuple[str, ...]
) -> Finding:
    return Finding(
        "exclusive_missing",
        f"exclusive site {name} has no zone of its own; it {where}",
        (name, *zones),
        shapely.union_all(scene.unit_shapes[units]),
        scene.households_at(units),
    )
