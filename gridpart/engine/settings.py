"""What is asked of every piece of a part, and how a search for it is begun and ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction

from gridpart.engine.effort import EFFORTS, Effort
from gridpart.engine.kernels import Bits, Ints
from gridpart.engine.part import Bounds, Part
from gridpart.engine.search import improve, search
from gridpart.engine.stopping import SPENT, stopping

__all__ = ["Settings"]

LEAST_SHARE = 5  # of its seconds a search gets a fifth, even where searches before it took all


@dataclass(frozen=True)
class Settings:
    """What is the same for every piece of a part.

    `shared` is for a number of groups that was shared among parts, so that no proof about one
    part's number is a proof about all; `until` is when seconds of effort end, as
    :func:`time.monotonic` tells it.
    """

    bounds: Bounds
    target: int
    n_groups: int | str | None
    balance: float
    headroom: float
    effort: Effort
    control: Ints
    advise: bool = True
    insist: bool = True
    shared: bool = False
    until: float | None = None

    def search(
        self, part: Part, wanted: int, seed: Bits, *, free_count: bool
    ) -> tuple[Ints, int, int]:
        """Search one part with these settings."""
        effort = self.effort
        if effort.seconds is not None and self.until is not None:
            left = max(self.until - time.monotonic(), effort.seconds / LEAST_SHARE)
            effort = replace(effort, seconds=min(left, effort.seconds))
        with stopping(self.control, SPENT, effort.seconds):
            return search(
                part, wanted, self.bounds, balance=self.balance, effort=effort, seed=seed,
                free_count=free_count, control=self.control,
            )  # fmt: skip

    def improve(
        self, part: Part, labels: Ints, n_groups: int, seed: Bits, *, exchanges: bool = False
    ) -> tuple[Ints, int]:
        """Shorten the borders of groups, of which no more will be outside the band."""
        return improve(
            part, labels, n_groups, self.bounds, balance=self.balance, effort=self.effort,
            seed=seed, control=self.control, exchanges=exchanges,
        )  # fmt: skip

    def narrowed(self) -> Settings | None:
        """The same with the band that leaves headroom; None where there is no such band."""
        if self.headroom <= 0:
            return None
        share = Fraction(self.headroom).limit_denominator(10_000)
        if share >= 1:
            return None
        low = -(-self.bounds.low // (1 - share))
        high = int(self.bounds.high / (1 + share))
        if low > high:
            return None
        return replace(self, bounds=self.bounds.with_band(int(low), high))

    def relaxed(self, bounds: Bounds) -> Settings:
        """The same with other bounds, for a short search."""
        fast = replace(EFFORTS["fast"], restarts=20)
        return replace(self, bounds=bounds, effort=fast, headroom=0.0)
