"""Communities solved side by side, stopped and told about; one that fails loses no other."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed

from gridpart._progress import progress, say
from gridpart.engine import Effort, Solution, is_compiled, solve, warm_up
from gridpart.engine.sharing import ABOUT_A_SHARE, Sharing, effort_again
from gridpart.problem.community import Community
from gridpart.rules import Rules

if TYPE_CHECKING:
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

__all__ = ["GIVEN_UP", "Failure", "solve_communities", "solve_one"]

GIVEN_UP = 9  # stands in a control where the caller waits for nothing any more


def solve_communities(
    communities: Sequence[Community],
    rules: Rules,
    *,
    jobs: int | None = None,
    effort: str | float | Effort = "default",
    time_limit: float | None = None,
) -> list[Solution | Failure]:
    """Solve every community, several at a time on threads: the kernels release the GIL.

    Parameters
    ----------
    communities : sequence of Community
    rules : Rules
        See :func:`gridpart.partition`.
    jobs : int, optional
        Number of threads; by default one per processor. The result does not depend on it. Inside
        :func:`joblib.parallel_config` the backend and the number of workers chosen there count.
    effort : str, float or Effort
        See :func:`gridpart.engine.solve`; seconds are shared among communities by units.
    time_limit : float, optional
        Seconds after which what has been found so far is finished and returned; the first
        interruption (Ctrl-C) does the same, the second one raises.

    Returns
    -------
    list of Solution or Failure
        In the order of `communities`. One that fails does not lose the others.
    """
    spent = Effort.of(effort)
    if not is_compiled():
        say("compiling the engine, once: this takes about 20 seconds")
    warm_up()
    counts, sharing = _counts(communities, rules)
    shared = sharing is not None and sharing.could_be_otherwise(rules.n_grids)
    n = sum(map(len, communities))
    controls = [np.zeros(2, np.int64) for _ in communities]
    parallel = _parallel(jobs)
    workers = min(parallel.n_jobs if parallel.n_jobs > 0 else os.cpu_count() or 1, n)
    end = None if time_limit is None else time.time() + time_limit

    def arguments(i: int, count: Any, effort: Effort) -> tuple[Any, ...]:
        own = _share(effort, len(communities[i]), n, workers, len(communities))
        return communities[i], rules, count, own, end, controls[i], shared

    def again(i: int, count: int) -> Solution | None:
        found = solve_one(*arguments(i, count, effort_again(spent)))
        return found if isinstance(found, Solution) else None

    def run() -> list[Solution | Failure]:
        # the largest first, so that no thread is left with a long one at the end
        by_size = sorted(range(len(communities)), key=lambda i: -len(communities[i]))
        solved = parallel(delayed(solve_one)(*arguments(i, counts[i], spent)) for i in by_size)
        found: dict[int, Solution | Failure] = dict(zip(by_size, solved, strict=True))
        if sharing is not None and shared and not any(control[0] for control in controls):
            at = [i for i, count in enumerate(counts) if count is not None]
            anew = sharing.divide(
                [counts[i] for i in at], [found[i] for i in at],
                lambda place, count: again(at[place], count), _failed,
            )  # fmt: skip
            found |= zip(at, anew, strict=True)
        return [found[i] for i in range(len(communities))]

    work = sum(spent.work(len(community), rules.balance) for community in communities)
    with ThreadPoolExecutor(1) as one, progress("dividing", work) as show:
        # the caller's thread stays free to show progress and to be interrupted
        return _wait(one.submit(run), controls, show)


def _failed(solution: Solution | Failure) -> int:
    """Grids outside the band that another number of grids might cure."""
    if isinstance(solution, Failure):
        return 0
    return sum(reason in ABOUT_A_SHARE for reason in solution.reasons)


@dataclass(frozen=True)
class Failure:
    """What kept one community from being solved."""

    error: str
    details: str


def _parallel(jobs: int | None) -> Parallel:
    """Threads, one per processor, unless the caller says otherwise here or in a joblib context."""
    if jobs is not None:
        return Parallel(n_jobs=jobs, prefer="threads")
    chosen = Parallel(prefer="threads")  # takes what a context has set
    return chosen if chosen.n_jobs not in (None, 1) else Parallel(n_jobs=-1, prefer="threads")


def _share(effort: Effort, n: int, total: int, workers: int, communities: int) -> Effort:
    """The effort for a community: its share of the seconds, if there are any."""
    if effort.seconds is None:
        return effort
    share = n / total * min(workers, communities)
    return dataclasses.replace(effort, seconds=effort.seconds * min(share, 1.0))


def solve_one(
    community: Community,
    rules: Rules,
    count: Any,
    effort: Effort,
    end: float | None,
    control: Ints,
    shared: bool = False,
) -> Solution | Failure:
    """Solve one community, in a thread or in a process on another machine."""
    if control[0] == GIVEN_UP:
        return Failure("given up", "")
    try:
        return solve(
            community.indptr, community.indices, community.borders, community.loads,
            x=community.x, y=community.y, target=rules.target, n_groups=count,
            balance=rules.balance, headroom=rules.headroom, work=community.work,
            **community.limits(rules), seed=_seed_of(community.key, rules.seed),
            effort=effort, time_limit=None if end is None else max(end - time.time(), 0.0),
            control=control, shared=shared,
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - reported with the plan; the others go on
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def _wait(
    running: Future[list[Solution | Failure]], controls: list[Ints], show: Callable[[int], None]
) -> list[Solution | Failure]:
    """Wait for the workers; the first interruption tells them to finish what they have."""
    while True:
        try:
            return running.result(timeout=0.1)
        except TimeoutError:
            if running.done():
                raise  # the workers' own
            show(sum(int(control[1]) for control in controls))
        except KeyboardInterrupt:
            again = all(control[0] for control in controls)
            for control in controls:
                control[0] = GIVEN_UP if again else 1
            if again:
                raise
            say("stopping: finishing the best plan so far (once more to give up)")


def _counts(communities: Sequence[Community], rules: Rules) -> tuple[list[Any], Sharing | None]:
    """Number of grids of every community, as the rules have it, and how a total is shared."""
    wanted = rules.n_grids
    if isinstance(wanted, Mapping):
        return [wanted.get(community.key) for community in communities], None
    if not isinstance(wanted, int | np.integer):
        return [wanted] * len(communities), None
    parts = [community.layout(rules).share() for community in communities]
    sharing = Sharing([part for part in parts if part is not None])
    shares = iter(sharing.by_load(wanted))
    return [None if part is None else next(shares) for part in parts], sharing


def _seed_of(key: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
