"""Whether zones keep inside one community: a grid never crosses its border."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import shapely

from gridpart.coverage.catalogue import Finding
from gridpart.coverage.scene import Scene

__all__ = ["check_communities"]


def check_communities(scene: Scene) -> Iterator[Finding]:
    """Find zones whose units belong to several communities, or to another than the zone names.

    A unit counts in the zone it is assigned to and in the one that holds most of it: a zone may
    cross a border on paper or on the ground. Units and zones that name no community are passed
    over: a missing name is not another community.
    """
    if scene.unit_communities is None:
        return
    names = scene.unit_communities
    both = (pd.DataFrame({"zone": z, "community": names}) for z in (scene.home, scene.located.main))
    units = pd.concat(both).reset_index(names="unit").drop_duplicates().set_index("unit")
    units = units[(units["zone"] >= 0) & (units["community"] != "")]
    for zone, held in units.groupby("zone")["community"]:
        sizes = held.value_counts(sort=False).sort_index()
        own = "" if scene.own_communities is None else scene.own_communities[int(zone)]
        # the units of the community that a zone names are at home, else those of the largest
        home = own if own in sizes.index else sizes.idxmax()
        if len(sizes) > 1:
            rows = held.index[held != home].to_numpy()
            listed = ", ".join(f"{name} ({_units(n)})" for name, n in sizes.items())
            yield _crossing(scene, int(zone), rows, f"lies in {len(sizes)} communities: {listed}")
        elif own and own != home:
            rows = held.index.to_numpy()
            said = f"is said to lie in {own}, but its units belong to {home}"
            yield _crossing(scene, int(zone), rows, said)


def _crossing(scene: Scene, zone: int, rows: np.ndarray, message: str) -> Finding:
    """Mark the units of other communities than the zone's."""
    name = scene.zones.ids[zone]
    shape = shapely.union_all(scene.unit_shapes[rows])
    return Finding(
        "crosses_community",
        f"zone {name} {message}",
        (name,),
        scene.zones.polygons[zone] if shape.is_empty else shape,
        scene.households_at(rows),
        rows=(zone,),
    )


def _units(n: int) -> str:
    return f"{n} unit{'' if n == 1 else 's'}"
