"""Classes of a map and bars of a histogram that respect the band, and their colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "ABOVE",
    "BELOW",
    "EXCLUSIVE",
    "INSIDE",
    "MapClass",
    "band_classes",
    "bar_width",
    "bars",
    "class_of",
    "plain_classes",
]

# Too small, too large: apart from the greens of the band for every kind of colour vision.
BELOW = "#b9a3d6"
ABOVE = "#f2a154"
EXCLUSIVE = "#ececec"
INSIDE = "#5aa469"
MOST_BARS = 60
ROUND_STEPS = [step * 10**power for power in range(18) for step in (1, 2, 5)]


@dataclass(frozen=True)
class MapClass:
    """One class of a map: values from `first` to `last`, both included, in one colour."""

    first: float
    last: float
    color: str
    label: str


def _ramp(cmap: str, count: int) -> list[str]:
    # The ends of a ramp are left out: white is taken for empty, and on the darkest nothing reads.
    places = [0.3] if count == 1 else np.linspace(0.1, 0.5, count)
    return [to_hex(colormaps[cmap](place)) for place in places]


def _parts(low: int, high: int) -> int:
    """How many classes cut the band into the roundest widths."""
    width = high - low

    def roundness(count: int) -> tuple[int, int]:
        steps = (100, 50, 25, 20, 10, 5, 1)
        rank = next((i for i, step in enumerate(steps) if width % (count * step) == 0), 9)
        return rank, (4, 3, 5).index(count)

    return min((4, 3, 5), key=roundness) if width >= 12 else 1


def band_classes(low: int, high: int, *, cmap: str) -> list[MapClass]:
    """Classes of households: below the band, inside it in round steps, above it.

    Examples
    --------
    >>> [part.label for part in band_classes(200, 500, cmap="YlGn")]
    ['below 200', '200–299', '300–399', '400–500', 'above 500']
    """
    count = _parts(low, high)
    edges = [round(edge) for edge in np.linspace(low, high, count + 1)]
    inside = []
    for i, color in enumerate(_ramp(cmap, count)):
        last = edges[i + 1] if i == count - 1 else edges[i + 1] - 1
        label = f"{edges[i]:,}–{last:,}" if last > edges[i] else f"{last:,}"
        inside.append(MapClass(edges[i], last, color, label))
    return [
        MapClass(-math.inf, low - 1, BELOW, f"below {low:,}"),
        *inside,
        MapClass(high + 1, math.inf, ABOVE, f"above {high:,}"),
    ]


def plain_classes(values: NDArray[Any], *, cmap: str, count: int = 5) -> list[MapClass]:
    """Classes of any quantity, about equally full, with bounds of two digits."""
    values = values[np.isfinite(values)]
    if values.size == 0:
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)[1:-1]))
    edges = np.unique([float(f"{edge:.2g}") for edge in edges])
    edges = edges[(edges > values.min()) & (edges <= values.max())]
    firsts, lasts = [float(values.min()), *edges], [*edges, float(values.max())]
    colors = _ramp(cmap, len(firsts))
    return [
        MapClass(first, last, color, f"{first:,.4g} to {last:,.4g}")
        for first, last, color in zip(firsts, lasts, colors, strict=True)
    ]


def class_of(values: pd.Series, classes: Sequence[MapClass]) -> NDArray[np.int64]:
    """Index of the class of each value; -1 for a missing one."""
    numbers = values.to_numpy(dtype=float)
    firsts = np.array([part.first for part in classes], dtype=float)
    index = np.searchsorted(firsts, numbers, side="right") - 1
    index = np.clip(index, 0, len(classes) - 1)
    return np.where(np.isfinite(numbers), index, -1)


def bar_width(low: int, high: int, values: NDArray[Any]) -> int:
    """The roundest width that cuts the band into at least 8 bars, and all into at most 60.

    Where the band is narrow beside the spread of the values, it gets fewer bars, at last one.

    Examples
    --------
    >>> bar_width(200, 500, np.array([150, 520])), bar_width(100, 120, np.array([60, 700]))
    (25, 20)
    """
    band = max(high - low, 1)
    spread = max(values.max(), high) - min(values.min(), low)
    finest = spread / MOST_BARS
    steps = (100, 50, 25, 20, 10, 5, 2, 1)
    even = [step for step in steps if band % step == 0 and step >= finest]
    fine = [step for step in even if band / step >= 8]
    if fine:
        return fine[0]
    if band / 8 >= finest:
        return max(1, band // 12, math.ceil(finest))
    if even:
        return even[-1]
    if band >= finest:
        return band
    return next(step for step in ROUND_STEPS if step >= finest)


def bars(values: NDArray[Any], low: int, high: int, width: int) -> tuple[NDArray[Any], ...]:
    """Left ends, right ends and counts of bars that respect both ends of the band.

    `high` belongs to the last bar inside the band, what is one more to the first one above it.
    """
    parts = []
    first = low - width * math.ceil(max(low - values.min(), 0) / width)
    if first < low:
        parts.append((np.arange(first, low + 1, width), values[values < low]))
    end = max(high, low + 1)  # a band of one number is one household wide on paper
    parts.append(
        (
            np.array([*(range(low, high, width) or [low]), end]),
            values[(values >= low) & (values <= high)],
        )
    )
    if values.max() > high:
        above = values[values > high]
        if end == high:  # here a bar holds its right end instead of its left one
            above = above - 0.5
        last = end + width * math.ceil((above.max() + 0.5 - end) / width)
        parts.append((np.arange(end, last + 1, width), above))
    lefts = np.concatenate([edges[:-1] for edges, _ in parts])
    rights = np.concatenate([edges[1:] for edges, _ in parts])
    counts = np.concatenate([np.histogram(part, bins=edges)[0] for edges, part in parts])
    return lefts, rights, counts
