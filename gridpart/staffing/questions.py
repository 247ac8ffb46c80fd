"""What officers ask of a staffing: how unequal are the loads, and who has too much."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridpart.errors import InputError
from gridpart.staffing.result import Staffing

__all__ = ["gini", "known_role", "lorenz", "overloaded"]

FloatArray = npt.NDArray[np.float64]


def lorenz(loads: Staffing | Sequence[float], *, role: str | None = None) -> pd.DataFrame:
    """Lorenz curve of loads: what share of the load the least loaded share of the posts carries.

    Parameters
    ----------
    loads : Staffing, Series or sequence of float
        Loads from 0; of a staffing, those of its posts.
    role : str, optional
        Only the posts of this role. Roles carry the same grids: their loads do not add up.

    Returns
    -------
    DataFrame
        `posts` and `load`, shares from 0 to 1, one row per post after a first row of zeros.

    Raises
    ------
    InputError
        If a load is negative or no number, there is none, or all are 0; or the role is unknown.

    Notes
    -----
    Lorenz, *Methods of measuring the concentration of wealth*, 1905.

    Examples
    --------
    >>> lorenz([100, 300])
       posts  load
    0    0.0  0.00
    1    0.5  0.25
    2    1.0  1.00
    """
    values = np.sort(_loads(loads, role))
    share = np.concatenate([[0.0], np.cumsum(values) / values.sum()])
    return pd.DataFrame({"posts": np.arange(share.size) / values.size, "load": share})


def gini(loads: Staffing | Sequence[float], *, role: str | None = None) -> float:
    """How unequal loads are: 0 where all are the same, near 1 where one post carries everything.

    Parameters
    ----------
    loads, role
        As for :func:`lorenz`.

    Returns
    -------
    float
        Twice the area between the Lorenz curve and the diagonal (Gini, 1912).

    Raises
    ------
    InputError
        As :func:`lorenz`.

    Examples
    --------
    >>> gini([100, 300])
    0.25
    """
    curve = lorenz(loads, role=role)
    share, load = curve["posts"].to_numpy(), curve["load"].to_numpy()
    return float(1 - np.sum(np.diff(share) * (load[1:] + load[:-1])))


def _loads(loads: Staffing | Sequence[float], role: str | None) -> FloatArray:
    if isinstance(loads, Staffing):
        posts = loads.posts
        if role is not None:
            known_role(loads, role)
            posts = posts[posts["role"] == role]
        elif len(loads.summary) > 1:
            roles = ", ".join(loads.summary["role"])
            raise InputError(f"roles carry the same grids; name one of {roles}")
        values = posts["load"].to_numpy(float)
    else:
        values = np.asarray(list(loads), float)
    if not (values.size and np.isfinite(values).all() and (values >= 0).all() and values.any()):
        raise InputError("loads must be numbers from 0, and some above 0")
    return values


def known_role(staffing: Staffing, role: str) -> None:
    """Refuse a role that no post has with an InputError."""
    known = staffing.summary["role"].tolist()
    if role not in known:
        raise InputError(f"no post has the role {role!r}; the roles are: {', '.join(known)}")


def overloaded(staffing: Staffing, limit: float | None = None) -> pd.DataFrame:
    """Posts that carry more than a limit, or more than their capacity.

    Parameters
    ----------
    staffing : Staffing
    limit : float, optional
        Greatest load of a post; by default its `capacity` in the roster.

    Returns
    -------
    DataFrame
        A row per post, the most overloaded first: `post_id`, `role`, `n_grids`, `load`, `limit`,
        `over` (how much above it).

    Raises
    ------
    InputError
        If no limit is given and the roster has no capacities, or the limit is no number from 0.

    Examples
    --------
    >>> import gridpart as gp
    >>> grids = pd.DataFrame({"grid": ["g1", "g2"], "households": [300, 200]})
    >>> roster = pd.DataFrame({"post_id": ["a", "b"], "role": "leader"})
    >>> overloaded(gp.assign_posts(grids, roster), 250)[["post_id", "load", "over"]]
      post_id   load  over
    0       a  300.0  50.0
    """
    posts = staffing.posts
    if limit is None and "capacity" not in posts.columns:
        raise InputError("give a limit: the roster has no capacities")
    if limit is not None and not (math.isfinite(limit) and limit >= 0):
        raise InputError(f"limit must be a load from 0, got {limit}")
    limits = posts["capacity"] if limit is None else pd.Series(float(limit), posts.index)
    table = posts[["post_id", "role", "n_grids", "load"]].assign(
        limit=limits, over=posts["load"] - limits
    )
    table = table[table["over"] > 0]
    return table.sort_values("over", ascending=False, kind="stable").reset_index(drop=True)
