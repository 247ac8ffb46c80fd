"""How much work is spent: runs, sweeps, and windows that are cooled again."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["EFFORTS", "LONGEST_SWEEPS", "WINDOW_GROUPS", "Effort"]

CITY = 20_000  # units
FIRST_SWEEPS, LONGEST_SWEEPS = 1000, 60_000  # of runs that are given seconds
SMALL_PART = 1000  # units
FEW_UNITS = 200  # of a part this small a run takes no time, and often ends beside the optimum
FEWEST_SWEEPS = 1600  # of a small part
ENDLESS = 100_000  # where seconds end it
DISAGREED = 4  # one unit of so many is left of a part where what two runs agree about is one
WINDOW_GROUPS = 14  # cooled again together
WINDOWS_SHARE = 0.8  # of what even groups take more than others, where there are windows for it,
MOST_IN_WINDOWS = 3  # and of so many plain runs at most: the most even groups come by long runs


@dataclass(frozen=True)
class Effort:
    """How much work is spent on a connected part.

    Parameters
    ----------
    sweeps : int
        Passes over all units while the temperature falls.
    small_sweeps : int, optional
        The same for each run of a part of at most `starts_up_to` units, if not as many; of fewer
        than a thousand units it gets fewer.
    starts : int
        Independent runs of such a part.
    more_starts : int
        Up to how many times as many for parts that are so many times smaller.
    starts_up_to : int
        Parts of more units get one run: there the differences between runs average out.
    varied_starts : int
        Shorter runs instead of that one, where borders differ so much in length that they do not.
    combinations : int
        How often two of the runs are combined, for each run.
    combining_sweeps : int
        Passes over what two runs disagree about.
    windows : int
        How many windows of the best run, some groups side by side each, are cooled again, for
        each of its groups.
    small_windows : int, optional
        The same for a part of at most `starts_up_to` units, if not as many.
    window_sweeps : int
        Passes over the units of a window.
    even_windows : int
        The windows of a larger part whose groups are to be more even than a plain run makes them:
        most of the sweeps that this takes are spent in so many for each group.
    restarts : int
        Runs for a part that has few groups and a narrow band, where most runs find nothing.
    seconds : float, optional
        Go on as long as this instead, for all parts together. The labels then depend on how fast
        the machine is.
    """

    sweeps: int = 10_300
    small_sweeps: int | None = None
    starts: int = 2
    starts_up_to: int = 1000
    more_starts: int = 1
    varied_starts: int = 1
    combinations: int = 0
    combining_sweeps: int = 1000
    windows: int = 0
    small_windows: int | None = None
    window_sweeps: int = 1500
    even_windows: int = 0
    restarts: int = 200
    seconds: float | None = None

    @classmethod
    def of(cls, effort: str | float | Effort) -> Effort:
        """The effort of a name in `EFFORTS`, or of so many seconds."""
        if isinstance(effort, Effort):
            return effort
        if isinstance(effort, str):
            if effort not in EFFORTS:
                raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, got {effort!r}")
            return EFFORTS[effort]
        if not 0 < effort < math.inf:
            raise ValueError(f"effort must be more than 0 seconds, got {effort!r}")
        return cls(
            sweeps=FIRST_SWEEPS, starts=4, varied_starts=4, combinations=4, restarts=ENDLESS,
            windows=ENDLESS, seconds=float(effort),
        )  # fmt: skip

    def sweeps_of(self, n: int, balance: float, *, varied: bool = False) -> int:
        """Passes over a part of n units; even groups come slowly, up to seven times as many."""
        if self.seconds is not None:
            return self.sweeps
        if n <= self.starts_up_to:
            sweeps = self.small_sweeps or self.sweeps
            # the fewer units there are, the sooner more sweeps find nothing better
            fewer = math.isqrt(sweeps * sweeps * min(n, SMALL_PART) // SMALL_PART)
            fewer = max(fewer, min(sweeps, FEWEST_SWEEPS))
            return int(fewer * _slower(balance))
        in_runs = self.sweeps * (1 + _more(n, balance)) - self._sweeps_in_windows(n, balance)
        starts = self.starts_of(n, varied=varied)
        return int(max(in_runs - self._combining(starts), in_runs / 2) / starts)

    def starts_of(self, n: int, *, varied: bool = False) -> int:
        """Runs of a part of n units; `varied` where its borders differ very much in length."""
        if n > self.starts_up_to:
            return self.varied_starts if varied else 1
        return max(self.starts * min(self.starts_up_to // n, self.more_starts), FEW_UNITS // n)

    def windows_of(self, n: int, balance: float) -> int:
        """Windows of a part of n units that are cooled again, for each of its groups."""
        if n <= self.starts_up_to:
            return self.windows if self.small_windows is None else self.small_windows
        return self.even_windows if self._sweeps_in_windows(n, balance) else self.windows

    def window_sweeps_of(self, n: int, balance: float) -> int:
        """Passes over the units of a window of a part of n units."""
        sweeps = self._sweeps_in_windows(n, balance)
        if sweeps:
            return int(sweeps / (self.even_windows * WINDOW_GROUPS))
        return int(self.window_sweeps * _slower(balance))

    def _sweeps_in_windows(self, n: int, balance: float) -> float:
        """Passes over a larger part that even groups take, and that are spent in its windows."""
        if n <= self.starts_up_to or not self.even_windows:
            return 0.0
        return WINDOWS_SHARE * self.sweeps * min(_more(n, balance), MOST_IN_WINDOWS)

    def work(self, n: int, balance: float) -> int:
        """Units visited by the runs over a part of n units, and in its windows."""
        windows = 0 if self.seconds else self.windows_of(n, balance)
        again = windows * WINDOW_GROUPS * self.window_sweeps_of(n, balance)
        starts = self.starts_of(n)
        return n * (self.sweeps_of(n, balance) * starts + self._combining(starts) + again)

    def _combining(self, starts: int) -> int:
        """Passes over a part that combining its runs is worth: about what they agree is no work."""
        combinations = starts * self.combinations if starts > 1 else 0
        return combinations * self.combining_sweeps // DISAGREED


def _slower(balance: float) -> float:
    """How many times as many sweeps even groups take, which come slowly."""
    return max(8 * balance - 5, 1)


def _more(n: int, balance: float) -> float:
    """How many times the sweeps of a plain run even groups of a larger part take beyond it."""
    longest = 7 if n <= CITY else 4  # of a city they would take minutes, and gain nothing
    return max(min(40 * balance - 19, 4), min(20 * balance - 13, longest), 1) - 1


EFFORTS = {
    "fast": Effort(sweeps=750, small_sweeps=1600, starts=1, starts_up_to=20_000, restarts=40),
    "default": Effort(
        starts=5,
        small_sweeps=5000,
        more_starts=5,
        varied_starts=8,
        combinations=3,
        small_windows=2,
        window_sweeps=1000,
        even_windows=2,
    ),
    "best": Effort(
        sweeps=43_000,
        starts=6,
        small_sweeps=7000,
        more_starts=5,
        varied_starts=10,
        combinations=6,
        restarts=2000,
        windows=6,
        small_windows=5,
    ),
}
