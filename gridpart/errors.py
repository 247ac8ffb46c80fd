"""Every error and warning that gridpart raises on purpose.

A problem with the input is a :class:`Problem`; the door collects all of them and raises one
:class:`InputError` that lists each kind with the offending ids and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = [
    "CRSError",
    "CodeError",
    "GridpartError",
    "GridpartWarning",
    "InputError",
    "OutputError",
    "Problem",
]

EXAMPLES_SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """One kind of thing that is wrong with an input.

    Parameters
    ----------
    kind : str
        Stable identifier, such as ``"negative_households"``.
    message : str
        What is wrong and what to do, without the examples.
    examples : tuple of str
        The offending places, such as ``"unit A7: -3"``. All of them may be given; the text
        shows the first five.
    count : int, optional
        How many there are, if more than are listed in `examples`.
    """

    kind: str
    message: str
    examples: tuple[str, ...] = ()
    count: int | None = None

    def __str__(self) -> str:
        total = len(self.examples) if self.count is None else self.count
        lines = [self.message]
        lines += [f"    {text}" for text in self.examples[:EXAMPLES_SHOWN]]
        hidden = total - min(len(self.examples), EXAMPLES_SHOWN)
        if self.examples and hidden > 0:
            lines.append(f"    and {hidden} more")
        return "\n".join(lines)


class GridpartError(Exception):
    """Base of every error that gridpart raises on purpose."""


class InputError(GridpartError, ValueError):
    """The input cannot be used; `problems` says everything that is wrong with it.

    Parameters
    ----------
    problems : str, Problem or iterable of Problem
        One message, or all problems found.

    Examples
    --------
    >>> raise InputError([Problem("negative", "households must not be negative", ("unit 7: -3",))])
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: households must not be negative
        unit 7: -3
    """

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem("input", problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class CRSError(InputError):
    """The coordinate reference system is missing, or differs between two inputs."""


class CodeError(GridpartError, ValueError):
    """A code cannot be made or is malformed."""


class OutputError(GridpartError, OSError):
    """An output file cannot be written; the old file, if there was one, is untouched."""


class GridpartWarning(UserWarning):
    """Something was done to the input, or left undone, that the caller should know."""
