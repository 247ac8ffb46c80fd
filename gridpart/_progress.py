"""Progress on a terminal, silence in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress", "say"]


@contextmanager
def progress(
    description: str, total: int, *, show: bool | None = None
) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while work goes on; yield a function that sets how much is done.

    Parameters
    ----------
    description : str
        What is being done, in a word or two.
    total : int
        Amount of work, in any unit.
    show : bool, optional
        Force the bar on or off. By default it appears only where stderr is a terminal.

    Yields
    ------
    callable
        Takes the amount of work completed so far.
    """
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)


def say(text: str) -> None:
    """Say something about the work on a terminal; nothing in a pipe."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
