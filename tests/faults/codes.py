"""Faults of codes."""

from __future__ import annotations

import numpy as np
import pandas as pd
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


def _of_parent(case: Case, zone: int) -> list[int]:
    """Zones of the same community."""
    within = case.zones["within"]
    return [int(other) for other in case.zones.index[within == within[zone]]]


@injector("code_duplicate", "coded")
def code_taken_twice(case: Case, rng: Rng, site: Site) -> Expected | None:
    other = site.partner(rng, like="within")
    if other is None:
        return None
    code = case.zones.loc[site.hit, "grid_code"]
    apart = abs(int(code[12:]) - int(case.zones.loc[other, "grid_code"][12:]))
    if apart > 1:
        # of the order, others than the two would be told if but one stood between them
        group = _of_parent(case, site.hit)
        if apart == 2 or not all(site.free(zone) for zone in group):
            return None
        for zone in group:
            site.take(zone)
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


@injector("code_number", "coded")
def code_as_number(case: Case, rng: Rng, site: Site) -> Expected | None:
    code = case.zones.loc[site.hit, "grid_code"]
    case.zones.loc[site.hit, "grid_code"] = [int(code), float(code)][rng.integers(2)]
    return of_zone(case, "code_number", site.hit)


@injector("code_serial_order", "coded")
def codes_exchanged(case: Case, rng: Rng, site: Site) -> Expected | None:
    """Two zones of a community, rows apart and with others in between, exchange their codes."""
    zones = case.zones
    group = _of_parent(case, site.hit)
    if not all(site.free(other) for other in group):
        return None
    shapes = np.array([case.shapes[zone] for zone in group], dtype=object)
    height = np.sqrt(shapely.area(shapes).mean())
    y = shapely.get_y(shapely.centroid(shapes))
    here = group.index(site.hit)
    serial = [int(code[12:]) for code in zones.loc[group, "grid_code"]]
    far = [
        k
        for k in range(len(group))
        if abs(serial[k] - serial[here]) >= 4
        and (y[here] - y[k]) * np.sign(serial[k] - serial[here]) > 1.5 * height
        and group[k] in case.place.plain
    ]
    if not far:
        return None
    other = group[far[rng.integers(len(far))]]
    codes = zones.loc[[other, site.hit], "grid_code"].tolist()
    zones.loc[[site.hit, other], "grid_code"] = codes
    for zone in group:
        site.take(zone)
    names = frozenset([case.name_of(site.hit), case.name_of(other)])
    place = shapely.union(case.shapes[site.hit], case.shapes[other])
    return Expected("code_serial_order", names, place, n=2)


# --------------------------------------------------------------------------- the register


@injector("code_retired", "registered")
def code_retired(case: Case, rng: Rng, site: Site) -> Expected | None:
    table = case.tables["register"]
    row = table.index[table["code"] == case.zones.loc[site.hit, "grid_code"]]
    words = ("retired", "停用", "Inactive", "注销", " 废止 ")
    table.loc[row, "state"] = words[rng.integers(len(words))]
    return of_zone(case, "code_retired", site.hit)


@injector("code_unregistered", "registered")
def code_never_issued(case: Case, rng: Rng, site: Site) -> Expected | None:
    table = case.tables["register"]
    code = case.zones.loc[site.hit, "grid_code"]
    case.tables["register"] = table[table["code"] != code]
    return of_zone(case, "code_unregistered", site.hit)


@injector("code_unused", "registered")
def code_of_no_zone(case: Case, rng: Rng, site: Site) -> Expected | None:
    table = case.tables["register"]
    code = f"{str(case.zones.loc[site.hit, 'grid_code'])[:12]}{rng.integers(500, 1000):03d}"
    if code in set(table["code"]):
        return None
    row = pd.DataFrame([{"code": code, "state": ["live", "在用"][rng.integers(2)]}], dtype=object)
    case.tables["register"] = pd.concat([table, row], ignore_index=True)
    return Expected("code_unused", frozenset([code]))
