"""Make the bundled sample: ``python data/samples/make.py`` writes town.gpkg and roster.csv here.

The same script gives the same content again; tests/test_samples.py holds it to that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyogrio

from gridpart._io import write_bytes, write_layers
from gridpart.samples import Town, county_town

N_UNITS, SEED = 1600, 8
LAYERS = ("units", "boundary", "communities", "river", "bridges", "roads", "compounds")
HOUSEHOLDS_PER_GRID = 330
# Posts per grid: some leaders lead two grids, police, doctors and lawyers are shared.
TEAM = {"grid_leader": 0.9, "full_timer": 1.0, "police": 0.35, "doctor": 0.3, "lawyer": 0.15}


def town() -> Town:
    """The bundled town."""
    return county_town(N_UNITS, seed=SEED)


def roster(communities: pd.DataFrame) -> pd.DataFrame:
    """Fictional posts: every community has each role at least once."""
    rows = []
    for code, households in zip(communities["community"], communities["households"], strict=True):
        grids = max(1, round(households / HOUSEHOLDS_PER_GRID))
        for role, share in TEAM.items():
            rows += [(role, code)] * max(1, round(share * grids))
    frame = pd.DataFrame(rows, columns=["role", "within"])
    frame.insert(0, "post_id", [f"P{number:04d}" for number in range(1, len(frame) + 1)])
    return frame


def main(folder: Path) -> None:
    """Write both files into a folder."""
    # GeoPackages carry the time of writing; a fixed one keeps the file's bytes the same.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2025-01-01T00:00:00.000Z"})
    made = town()
    layers = {name: getattr(made, name) for name in LAYERS}
    write_layers(folder / "town.gpkg", layers)
    posts = roster(made.communities)
    write_bytes(folder / "roster.csv", posts.to_csv(index=False, lineterminator="\n").encode())
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
