"""Faults of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from faults.cases import Case
from faults.judging import Expected
from faults.kit import Site, injector
from faults.people import of_zone

Rng = np.random.Generator


@injector("code_missing", "coded")
def code_missing(case: Case, rng: Rng, site: Site) -> Expected | None:
    case.zones.loc[site.hit, "grid_code"] = [None, "", np.nan, " "][rng.integers(4)]
    return of_zone(case, "code_missing", site.hit)


@injector("code_duplicate", "coded")
def code_taken_twice(case: Case, rng: Rng, site: Site) -> Expected | None:
    other = site.partner(rng, like="within")
    if other is None:
        return None
    code = case.zones.loc[site.hit, "grid_code"]
    case.zones.loc[other, "grid_code"] = code
    names = frozenset([case.name_of(site.hit), case.name_of(other)])
    place = shapely.union(case.shapes[site.hit], case.shapes[other])
    astray = tuple(of_zone(case, "code_serial_order", z, optional=True) for z in (site.hit, other))
    return Expected("code_duplicate", names, place, implied=astray)


@injector("code_malformed", "coded")
def code_misspelt(case: Case, rng: Rng, site: Site) -> Expected | None:
    code = str(case.zones.loc[site.hit, "grid_code"])
    bad = (code[:-1], code + "1", code[:12] + "000", code[:13] + "a7", code[:12] + "-07",
           code[:12] + "1 2", code[:12] + "００７")  # fmt: skip
    new = bad[rng.integers(len(bad))]
    if new in set(case.zones["grid_code"]):
        return None
    case.zones.loc[site.hit, "grid_code"] = new
    return of_zone(case, "code_malformed", site.hit)


@injector("code_wrong_parent", "coded")
def code_of_another_parent(case: Case, rng: Rng, site: Site) -> Expected | None:
    code = str(case.zones.loc[site.hit, "grid_code"])
    digits = list(code)
    at = int(rng.integers(12))
    digits[at] = str((int(digits[at]) + rng.integers(1, 10)) % 10)
    new = "".join(digits)
    if new in set(case.zones["grid_code"]) or new[:12] in set(case.place.zones["within"]):
        return None
    case.zones.loc[site.hit, "grid_code"] = new
    return of_zone(case, "code_wrong_parent", site.hit)


# --------------------------------------------------------------------------- a table of units


def ground_of(case: Case, units: list[int]) -> Any:
    return shapely.union_all([case.unit_shapes[unit] for unit in units])


@injector("unit_uncovered", "listed")
def unit_assigned_to_none(case: Case, rng: Rng, site: Site) -> Expected | None:
    assert case.units is not None
    units = case.place.units_at[site.hit]
    unit = int(rng.choice(units))
    if ground_of(case, [other for other in units if other != unit]).geom_type != "Polygon":
        return None
    case.units.loc[unit, "grid"] = [None, "", np.nan][rng.integers(3)]
    name = frozenset([case.unit_name(unit)])
    return Expected("unit_uncovered", name, case.unit_shapes[unit])
