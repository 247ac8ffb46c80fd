"""What a check yields, and the table that findings become."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from gridpart.coverage.catalogue import CATALOGUE, COLUMNS, OF_THE_GROUND, SEVERITIES
from gridpart.coverage.texts import joined

if TYPE_CHECKING:
    import geopandas as gpd
    from shapely.geometry.base import BaseGeometry

__all__ = ["Finding", "bbox_text", "findings_frame"]


@dataclass
class Finding:
    """One defect, or a group of small ones of a kind, before it becomes a row.

    Areas and lengths left out are measured from `geometry`; `severity`, `advice` and
    `advice_chinese` left out are those of the catalogue. An advice of its own comes in both
    languages, or they contradict each other. `rows` are the positions of the zones meant, for
    checks that look at a finding again. `weight` is the households by which the finding is
    ranked where they are not `households`: of a unit that is cut, those of the smaller share.
    """

    check: str
    message: str
    ids: tuple[str, ...] = ()
    geometry: BaseGeometry | None = None
    households: int | None = None
    n: int = 1
    severity: str | None = None
    advice: str | None = None
    advice_chinese: str | None = None
    rows: tuple[int, ...] = ()
    weight: float | None = None

    @property
    def rank(self) -> float:
        """Households at stake, for the order of findings."""
        return float(self.households or 0) if self.weight is None else self.weight

    def as_row(self) -> dict[str, Any]:
        """Values of the columns of a findings table, geometry included."""
        check = CATALOGUE[self.check]
        shape = self.geometry
        dimension = -1 if shape is None or shape.is_empty else shapely.get_dimensions(shape)
        return {
            "check": self.check,
            "severity": self.severity or check.severity,
            "ids": joined(self.ids),
            "area_m2": float(shapely.area(shape)) if dimension == 2 else math.nan,
            "length_m": float(shapely.length(shape)) if dimension >= 1 else math.nan,
            "households": self.households,
            "n": self.n,
            "bbox": bbox_text(shape),
            "message": self.message,
            "advice": self.advice or check.advice,
            "status": "open",
            "advice_chinese": self.advice_chinese or check.advice_chinese,
            "geometry": shape,
        }


def bbox_text(shape: BaseGeometry | None) -> str:
    """West, south, east and north to the millimetre, parted by blanks; empty without a shape."""
    if shape is None or shape.is_empty:
        return ""
    return " ".join(f"{value:.3f}" for value in shapely.bounds(shape))


def findings_frame(findings: Iterable[Finding], crs: Any) -> gpd.GeoDataFrame:
    """Rows in order, the gravest first.

    Within a severity the zones themselves come first (gaps, overlaps, spill, broken rows), for
    what is counted in a faulty layer is faulty, too; then everything that was counted, by the
    households at stake, which of a cut unit are those of its smaller share, and by area.
    """
    import geopandas as gpd
    import pandas as pd

    findings = list(findings)
    columns = [*COLUMNS, "advice_chinese", "geometry"]
    frame = pd.DataFrame([finding.as_row() for finding in findings], columns=columns)
    frame["households"] = frame["households"].astype("Int64")
    frame["n"] = frame["n"].astype("int64")
    for name in ("area_m2", "length_m"):
        frame[name] = frame[name].astype("float64")
    order = list(CATALOGUE)
    keys = pd.DataFrame(
        {
            "severity": [SEVERITIES.index(value) for value in frame["severity"]],
            "counted": [value not in OF_THE_GROUND for value in frame["check"]],
            "households": [-finding.rank for finding in findings],
            "area": -np.nan_to_num(frame["area_m2"].to_numpy()),
            "check": [order.index(value) for value in frame["check"]],
            "ids": frame["ids"].to_numpy(),
        }
    )
    frame = frame.iloc[keys.sort_values(list(keys.columns), kind="stable").index]
    shapes = gpd.GeoSeries(frame.pop("geometry").to_list(), crs=crs)
    return gpd.GeoDataFrame(frame.reset_index(drop=True), geometry=shapes, crs=crs)
