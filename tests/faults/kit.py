"""How faults are put into a case: injectors, and sites that keep them apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from faults.cases import Case
from faults.judging import Expected

__all__ = ["INJECTORS", "Injector", "Site", "inject", "injector"]


@dataclass
class Site:
    """The zone that a fault hits, and who else may be drawn into it.

    Faults stay apart: no two of them share a zone or a neighbour of one.
    """

    case: Case
    hit: int
    claimed: set[int]
    redraws: bool = True
    own: set[int] = field(default_factory=set)

    def reach(self, zone: int) -> set[int]:
        """What a fault at a zone takes up: all around it, if ground is changed, else itself."""
        return self.case.place.near[zone] if self.redraws else {zone}

    def free(self, zone: int) -> bool:
        """Whether other faults leave a zone, and what is around it, untouched."""
        return not self.reach(zone) & self.claimed

    def take(self, zone: int) -> None:
        """Draw a zone into the fault."""
        self.own |= self.reach(zone)

    def partner(self, rng: np.random.Generator, *, like: str | None = None) -> int | None:
        """Another zone that touches neither this one nor its neighbours; `like` in a column."""
        near = self.case.place.near
        own = set().union(*(near[zone] for zone in near[self.hit])) | self.own
        zones = self.case.place.zones
        for zone in rng.permutation(self.case.place.plain).tolist():
            alike = like is None or zones.loc[zone, like] == zones.loc[self.hit, like]
            if alike and zone not in own and self.free(zone) and zone in self.case.shapes:
                self.take(zone)
                return int(zone)
        return None


Inject = Callable[[Case, np.random.Generator, Site], Expected | None]


@dataclass(frozen=True)
class Injector:
    """A way to put a fault of one check into a case.

    Parameters
    ----------
    check, name : str
    cases : tuple of str
        Names of the cases it works on.
    inject : callable
        Changes the case and says what to expect; None, and no change, where the zone is unfit.
    redraws : bool
        Whether ground is changed, so that other faults have to keep away from its neighbours.
    alone : bool
        Whether it is about the whole layer, so that a case has room for one.
    """

    check: str
    name: str
    cases: tuple[str, ...]
    inject: Inject
    redraws: bool = False
    alone: bool = False


INJECTORS: list[Injector] = []


def injector(
    check: str, *cases: str, redraws: bool = False, alone: bool = False
) -> Callable[[Inject], Inject]:
    """Register a function as an injector of `check` on some cases."""

    def register(function: Inject) -> Inject:
        name = function.__name__.strip("_")
        INJECTORS.append(Injector(check, name, cases, function, redraws, alone))
        return function

    return register


def inject(
    case: Case, injectors: Iterable[Injector], rng: np.random.Generator, *, most: int
) -> tuple[Case, list[Expected], set[int]]:
    """Put up to `most` faults that do not touch each other into a copy of a case.

    Returns
    -------
    the copy, what to expect, the zones that the faults may have changed
    """
    faulty, expected = case.copy(), []
    claimed: set[int] = set()
    # those that need room first: the others fit in between
    kinds = list(injectors)
    for redraws in (True, False):
        lot = np.array([kind for kind in kinds if kind.redraws == redraws], dtype=object)
        for zone in rng.permutation(case.place.plain).tolist() if len(lot) else ():
            if len(expected) >= most:
                break
            if zone not in claimed:
                expected += _at(faulty, zone, rng.permutation(lot), rng, claimed)
    return faulty, expected, claimed


def _at(
    case: Case, zone: int, kinds: Iterable[Injector], rng: np.random.Generator, claimed: set[int]
) -> list[Expected]:
    """Put the first fault in that a zone can take; claim what it takes up."""
    for kind in kinds:
        site = Site(case, zone, claimed, kind.redraws)
        if not site.free(zone):
            continue
        site.take(zone)
        found = kind.inject(case, rng, site)
        if found is not None:
            assert found.check == kind.check, (kind.name, found.check)
            claimed |= site.own
            return [found]
    return []
