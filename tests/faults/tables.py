"""Faults of what stays together or alone, of levels and staff, and of the units' own table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import shapely

from faults.cases import Case
from faults.ground import wedge
from faults.judging import Expected
from faults.kit import Site, injector
from faults.people import of_zone, some_unit

Rng = np.random.Generator


def ground_of(case: Case, units: list[int]) -> Any:
    """The ground of some units."""
    return shapely.union_all([case.unit_shapes[unit] for unit in units])


# --------------------------------------------------------------------------- compounds, sites


def _compound(case: Case, zone: int) -> tuple[str, list[int]] | None:
    """The compound of a zone, and its units."""
    assert case.units is not None
    name = f"compound {zone}"
    units = case.units.index[case.units["compound"] == name].tolist()
    return (name, units) if len(units) == 2 else None


@injector("compound_split", "sites")
def compound_continued_elsewhere(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A unit of another zone is said to be of the same compound."""
    assert case.units is not None
    found = _compound(case, site.hit)
    other = None if found is None else site.partner(rng)
    if found is None or other is None or other % 4 == 0:
        return None
    name, units = found
    free = [u for u in case.place.units_at[other] if pd.isna(case.units.loc[u, "compound"])]
    if not free:
        return None
    unit = int(rng.choice(free))
    case.units.loc[unit, "compound"] = name
    held = case.units["households"]
    minor = [unit] if held[unit] < held[units].sum() else units
    if held[unit] == held[units].sum():  # as many: the zone that comes first has it
        minor = [unit] if other > site.hit else units
    ids = {name, case.name_of(site.hit), case.name_of(other)}
    return Expected("compound_split", frozenset(ids), ground_of(case, minor))


@injector("compound_split", "sites", redraws=True)
def compound_divided_by_a_line(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A neighbour takes one of the two units of a compound, which touch each other."""
    assert case.units is not None
    found = _compound(case, site.hit)
    if found is None:
        return None
    name, units = found
    given = int(rng.choice(units))
    shape = case.unit_shapes[given]
    rest = shapely.difference(case.shapes[site.hit], shape)
    for other in sorted(case.place.near[site.hit] - {site.hit}):
        taken = shapely.union(case.shapes[other], shape)
        shared = shapely.length(shapely.intersection(case.shapes[other], shape))
        if other % 4 and shared > 1 and {rest.geom_type, taken.geom_type} == {"Polygon"}:
            case.shapes |= {site.hit: rest, other: taken}
            held = case.units["households"]
            kept = next(unit for unit in units if unit != given)
            first = (-held[kept], site.hit) < (-held[given], other)
            ids = {name, case.name_of(site.hit), case.name_of(other)}
            place = case.unit_shapes[given if first else kept]
            return Expected(
                "compound_split", frozenset(ids), place, redrawn=shape, severity="error"
            )
    return None


@injector("exclusive_missing", "sites", "marked")
def site_among_others(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A unit in a zone of others turns out to be a site."""
    assert case.units is not None
    if site.hit % 4 == 0:
        return None
    unit = some_unit(case, rng, site.hit)
    whole = case.unit_shapes[unit].area
    if whole >= 0.45 * case.shapes[site.hit].area:
        return None
    name = case.unit_name(unit)
    if "site" in case.units:
        name = f"new site {unit}"
        case.units.loc[unit, "site"] = name
        case.units.loc[unit, "compound"] = None
    else:
        case.units.loc[unit, "marked"] = True
    ids = {name, case.name_of(site.hit)}
    return Expected("exclusive_missing", frozenset(ids), case.unit_shapes[unit])


@injector("exclusive_mixed", "sites", "marked")
def others_in_a_site(case: Case, rng: Rng, site: Site) -> Expected | None:
    """Some units of a site's zone turn out not to be of it."""
    assert case.units is not None
    lot = case.place.units_at[site.hit]
    if site.hit % 4 or len(lot) < 3:
        return None
    foreign = rng.permutation(lot)[: rng.integers(1, len(lot) // 2 + 1)].tolist()
    if ground_of(case, foreign).area > 0.4 * case.shapes[site.hit].area:
        return None
    column, nothing = ("site", None) if "site" in case.units else ("marked", False)
    case.units.loc[foreign, column] = nothing
    ids = {case.name_of(site.hit), *(case.unit_name(unit) for unit in foreign)}
    own = [unit for unit in lot if unit not in foreign]
    said = f"site {site.hit}" if column == "site" else ", ".join(map(case.unit_name, own[:3]))
    return Expected(
        "exclusive_mixed", frozenset({*ids, said}), ground_of(case, foreign), size=len(foreign),
        unit="units",
    )  # fmt: skip


# --------------------------------------------------------------------------- levels


def _alike(case: Case, zone: int, column: str) -> list[int]:
    """Zones that share a name with one, itself not among them."""
    same = case.zones[column] == case.zones.loc[zone, column]
    return [other for other in case.zones.index[same].tolist() if other != zone]


@injector("not_nested", "nested")
def zone_of_another_community(case: Case, rng: Rng, site: Site) -> Expected | None:
    """One zone of a quarter names another community than the rest."""
    others = _alike(case, site.hit, "quarter")
    if len(others) < 2 or not all(site.free(other) for other in others):
        return None
    names = case.zones.loc[site.hit, ["quarter", "within"]].tolist()
    new = f"another community {site.hit}"
    case.zones.loc[site.hit, "within"] = new
    for other in others:
        site.take(other)
    return Expected("not_nested", frozenset([*names, new]), case.shapes[site.hit])


@injector("not_nested", "nested", alone=True)
def community_of_two_streets(case: Case, rng: Rng, site: Site) -> Expected | None:
    others = _alike(case, site.hit, "within")
    if len(others) < 2:
        return None
    names = case.zones.loc[site.hit, ["within", "street"]].tolist()
    case.zones.loc[site.hit, "street"] = "another street"
    return Expected("not_nested", frozenset([*names, "another street"]), case.shapes[site.hit])


@injector("not_nested", "nested units")
def micro_grid_in_two_grids(case: Case, rng: Rng, site: Site) -> Expected | None:
    """One unit of a micro-grid names another grid than the rest."""
    assert case.units is not None
    unit = some_unit(case, rng, site.hit)
    micro, grid = case.units.loc[unit, ["micro", "grid"]].tolist()
    if int((case.units["micro"] == micro).sum()) < 3:
        return None
    new = f"another grid {unit}"
    case.units.loc[unit, "grid"] = new
    return Expected("not_nested", frozenset([micro, grid, new]), case.unit_shapes[unit])


# --------------------------------------------------------------------------- staff


@injector("no_staff", "staffed")
def post_vacant(case: Case, rng: Rng, site: Site) -> Expected | None:
    staff = case.tables["staff"]
    names = case.zones.loc[site.hit, ["grid", "grid_code"]].tolist()
    case.tables["staff"] = staff[~staff["grid"].isin(names)]
    return of_zone(case, "no_staff", site.hit)


def _on(case: Case, *rows: tuple[Any, Any]) -> None:
    more = pd.DataFrame(list(rows), columns=["post_id", "grid"], dtype=object)
    case.tables["staff"] = pd.concat([case.tables["staff"], more], ignore_index=True)


@injector("post_unknown_zone", "staffed")
def post_on_no_zone(case: Case, rng: Rng, site: Site) -> Expected | None:
    named = rng.random() < 0.7
    post, zone = f"N{site.hit}", f"no zone {site.hit}" if named else [None, ""][rng.integers(2)]
    _on(case, (post, zone))
    ids = {post, zone} if named else {post}
    severity = "error" if named else "warning"
    return Expected("post_unknown_zone", frozenset(ids), severity=severity)


@injector("post_scattered", "staffed")
def post_on_zones_apart(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A post on two zones that do not touch, or touch at a point only."""
    shapes = case.shapes
    near = [
        other
        for other in case.place.near[site.hit] - {site.hit}
        if shapely.get_dimensions(shapely.intersection(shapes[site.hit], shapes[other])) == 0
        and site.free(other)
    ]
    other = near[rng.integers(len(near))] if near and rng.random() < 0.7 else site.partner(rng)
    if other is None:
        return None
    site.take(other)
    post = f"S{site.hit}"
    _on(case, (post, case.name_of(site.hit)), (post, case.zones.loc[other, "grid_code"]))
    ids = {post, case.name_of(site.hit), case.name_of(other)}
    return Expected("post_scattered", frozenset(ids), shapes[max(site.hit, other)])


# --------------------------------------------------------------------------- community polygons


@injector("crosses_community", "areas", redraws=True)
def zone_drawn_over_the_border(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A zone takes a piece of a neighbour of another community."""
    made = wedge(case.shapes[site.hit], rng, outward=True, small=False)
    if made is None:
        return None
    shape, piece, _ = made
    for other in case.place.near[site.hit] - {site.hit}:
        apart = case.zones.loc[other, "within"] != case.zones.loc[site.hit, "within"]
        if apart and shapely.difference(piece, case.shapes[other]).area < 1e-7:
            rest = shapely.difference(case.shapes[other], piece)
            if rest.geom_type != "Polygon":
                return None
            case.shapes |= {site.hit: shape, other: rest}
            found = of_zone(case, "crosses_community", site.hit, size=piece.area, redrawn=piece)
            return dataclasses.replace(found, place=piece)
    return None


@injector("crosses_community", "areas")
def zone_names_another_area(case: Case, rng: Rng, site: Site) -> Expected | None:
    names = sorted(set(case.place.zones["within"]) - {case.zones.loc[site.hit, "within"]})
    case.zones.loc[site.hit, "within"] = names[rng.integers(len(names))]
    return of_zone(case, "crosses_community", site.hit)


# --------------------------------------------------------------------------- a table of units


def _removable(case: Case, rng: Rng, zone: int) -> int | None:
    """A unit without which the rest of its zone hangs together."""
    lot = case.place.units_at[zone]
    unit = int(rng.choice(lot))
    rest = ground_of(case, [other for other in lot if other != unit])
    return unit if rest.geom_type == "Polygon" and len(lot) > 2 else None


@injector("unit_uncovered", "listed", redraws=True)
def unit_assigned_to_none(case: Case, rng: Rng, site: Site) -> Expected | None:
    assert case.units is not None
    unit = _removable(case, rng, site.hit)
    if unit is None:
        return None
    case.units.loc[unit, "grid"] = [None, "", np.nan][rng.integers(3)]
    return Expected("unit_uncovered", frozenset([case.unit_name(unit)]), case.unit_shapes[unit])


@injector("unit_without_geometry", "listed", redraws=True)
def listed_unit_without_shape(case: Case, rng: Rng, site: Site) -> Expected | None:
    unit = _removable(case, rng, site.hit)
    if unit is None:
        return None
    case.unit_shapes[unit] = [None, shapely.Polygon()][rng.integers(2)]
    return Expected("unit_without_geometry", frozenset([case.unit_name(unit)]))


def _listed_again(case: Case, rng: Rng, unit: int) -> tuple[int, set[str]]:
    """Add a row for a unit, under its own id or another; its label and the ids of the two."""
    assert case.units is not None
    label = max(case.unit_shapes) + 1
    row = case.units.loc[unit].copy()
    if rng.random() < 0.5:
        row["unit_id"] = f"again {unit}"
    case.units.loc[label] = row
    case.units["households"] = case.units["households"].astype(np.int64)
    case.unit_shapes[label] = case.unit_shapes[unit]
    return label, {case.unit_name(unit), str(row["unit_id"])}


@injector("unit_duplicate", "listed", redraws=True)
def unit_listed_again(case: Case, rng: Rng, site: Site) -> Expected | None:
    unit = some_unit(case, rng, site.hit)
    _, ids = _listed_again(case, rng, unit)
    names = frozenset({*ids, case.name_of(site.hit)})
    return Expected("unit_duplicate", names, case.unit_shapes[unit])


@injector("unit_twice", "listed", redraws=True)
def unit_listed_in_two_grids(case: Case, rng: Rng, site: Site) -> Expected | None:
    assert case.units is not None
    unit = some_unit(case, rng, site.hit)
    shape = case.unit_shapes[unit]
    for other in sorted(case.place.near[site.hit] - {site.hit}):
        beside = [case.unit_shapes[u] for u in case.place.units_at[other]]
        if max(shapely.length(shapely.intersection(shape, np.array(beside)))) > 1:
            label, ids = _listed_again(case, rng, unit)
            case.units.loc[label, "grid"] = case.name_of(other)
            names = frozenset({*ids, case.name_of(site.hit), case.name_of(other)})
            return Expected("unit_twice", names, shape)
    return None


@injector("multipart", "listed", redraws=True)
def unit_assigned_far_away(case: Case, rng: Rng, site: Site) -> Expected | None:
    """A unit is assigned to a grid that it does not touch."""
    assert case.units is not None
    unit = _removable(case, rng, site.hit)
    other = None if unit is None else site.partner(rng)
    if unit is None or other is None:
        return None
    shape = case.unit_shapes[unit]
    if shape.area > 0.9 * ground_of(case, case.place.units_at[other]).area:
        return None
    case.units.loc[unit, "grid"] = case.name_of(other)
    return Expected("multipart", frozenset([case.name_of(other)]), shape, size=shape.area)


def _recoded(case: Case, site: Site, check: str, code: str) -> Expected | None:
    """Give the units of a grid another code."""
    assert case.units is not None
    lot = case.place.units_at[site.hit]
    if code in set(case.units["grid_code"]):
        return None
    case.units.loc[lot, "grid_code"] = code
    return Expected(check, frozenset([code]), ground_of(case, lot))


@injector("code_malformed", "listed codes")
def listed_code_misspelt(case: Case, rng: Rng, site: Site) -> Expected | None:
    code = str(case.place.zones.loc[site.hit, "grid_code"])
    bad = (code[:-1], code + "1", code[:12] + "000", code[:13] + "a7", code[:12] + "-07")
    return _recoded(case, site, "code_malformed", bad[rng.integers(len(bad))])


@injector("crosses_community", "listed codes")
def listed_unit_of_another_community(case: Case, rng: Rng, site: Site) -> Expected | None:
    assert case.units is not None
    lot = case.place.units_at[site.hit]
    if len(lot) < 3:
        return None
    unit = int(rng.choice(lot))
    others = sorted(set(case.place.zones["within"]) - {case.units.loc[unit, "community"]})
    case.units.loc[unit, "community"] = others[rng.integers(len(others))]
    name = frozenset([str(case.units.loc[unit, "grid_code"])])
    return Expected("crosses_community", name, case.unit_shapes[unit])
