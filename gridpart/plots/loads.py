"""Charts of loads: how unequal they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from gridpart.errors import InputError
from gridpart.plots.fonts import Lettering

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.font_manager import FontProperties

__all__ = ["plot_lorenz"]

# Told apart by those who see no colours, too: each has a stroke of its own.
STROKES = ("-", "--", ":", "-.")
COLORS = ("#1b5e8c", "#c1541b", "#3c7d3c", "#7a4a9c", "#8c6d1b", "#555555")


def plot_lorenz(
    curves: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    ax: Axes | None = None,
    title: str | None = None,
    font: str | Path | FontProperties | None = None,
) -> Axes:
    """Draw Lorenz curves: what share of the load the least loaded share of the posts carries.

    Parameters
    ----------
    curves : DataFrame or mapping of str to DataFrame
        What :func:`gridpart.lorenz` returns; several by their names, to compare roles or plans.
    ax : Axes, optional
        Where to draw. By default a new figure of 5 by 5 inches.
    title : str, optional
        Heading.
    font : str, path or FontProperties, optional
        As for :func:`plot_grids`.

    Returns
    -------
    Axes
        The axes drawn into. The legend has the Gini coefficient of every curve.

    Raises
    ------
    InputError
        If there is no curve, or a table is none.

    Examples
    --------
    >>> import gridpart as gp
    >>> ax = plot_lorenz({"today": gp.lorenz([100, 300]), "tomorrow": gp.lorenz([200, 200])})
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['today: Gini 0.25', 'tomorrow: Gini 0.00']
    """
    named = {"": curves} if isinstance(curves, pd.DataFrame) else dict(curves)
    if not named or any({"posts", "load"} - set(curve.columns) for curve in named.values()):
        raise InputError("give what gridpart.lorenz returns: tables with columns posts and load")
    if ax is None:
        ax = plt.figure(figsize=(5, 5), layout="constrained").add_subplot()
    letters = Lettering([title or "", *named], font=font)
    ax.plot([0, 1], [0, 1], color="#9a9a9a", linewidth=0.8, zorder=1)
    ax.annotate("all alike", (0.5, 0.5), rotation=45, ha="center", va="bottom", color="#6a6a6a",
                rotation_mode="anchor", transform_rotates_text=True)  # fmt: skip
    for k, (name, curve) in enumerate(named.items()):
        label = f"{name}: Gini {_gini(curve):.2f}" if name else f"Gini {_gini(curve):.2f}"
        ax.plot(
            curve["posts"], curve["load"], STROKES[k % len(STROKES)], label=label,
            color=COLORS[k % len(COLORS)], linewidth=1.8, zorder=2,
        )  # fmt: skip
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("Share of the posts, least loaded first")
    ax.set_ylabel("Share of the load")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.spines[["top", "right"]].set_visible(False)
    legend = ax.legend(loc="upper left", frameon=False)
    for text in legend.get_texts():
        text.set(**letters.style(text.get_text()))
    if title:
        ax.set_title(title, **letters.style(title))
    return ax


def _gini(curve: pd.DataFrame) -> float:
    share, load = curve["posts"].to_numpy(float), curve["load"].to_numpy(float)
    return float(1 - np.sum(np.diff(share) * (load[1:] + load[:-1])))
