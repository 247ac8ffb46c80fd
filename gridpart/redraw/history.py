"""The hand edits of one sitting, which can be taken back and done again."""

from __future__ import annotations

import datetime
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridpart.errors import InputError
from gridpart.plan import Plan
from gridpart.redraw import edits
from gridpart.redraw.changes import Changes, change_table
from gridpart.redraw.recording import recording

if TYPE_CHECKING:
    from typing import Unpack

    from gridpart.codes import Register
    from gridpart.redraw.edits import Edit, EditOptions

__all__ = ["History"]


class History:
    """A plan with everything done to it by hand, which can be taken back.

    Parameters
    ----------
    plan : Plan
        What to begin with.

    Notes
    -----
    Codes are those of the plan until the end: a register cannot take back what it has issued, so
    :meth:`committing` enters all that was done in one change. Grids of edits that were taken back
    never get a code then.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> import gridpart as gp
    >>> cells = [shapely.box(100 * i, 0, 100 * i + 100, 100) for i in range(6)]
    >>> units = gpd.GeoDataFrame({"households": [100] * 6}, geometry=cells, crs="EPSG:4547")
    >>> history = History(gp.partition(units, low=200, high=400, n_grids=2))
    >>> edit = history.move(2, "G002")
    >>> history.plan.grids["households"].tolist()
    [200, 400]
    >>> history.undo()
    'took back: moved unit 2 (100 households) from G001 to G002'
    >>> history.plan.grids["households"].tolist()
    [300, 300]
    """

    def __init__(self, plan: Plan) -> None:
        self._start = plan
        self._done: list[Edit] = []
        self._undone: list[Edit] = []
        self._log: list[tuple[datetime.datetime, str, str]] = []

    @property
    def plan(self) -> Plan:
        """The plan as it is now."""
        return self._done[-1].plan if self._done else self._start

    @property
    def log(self) -> pd.DataFrame:
        """Everything that happened, undoing too: ``time`` (UTC), ``edit``, ``sentence``."""
        return pd.DataFrame(self._log, columns=["time", "edit", "sentence"])

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits that stand, in their order."""
        return tuple(self._done)

    def changes(self) -> Changes:
        """What all edits together changed."""
        return change_table(self._start, self.plan, by="name")

    def move(self, units: Any, to: str, **options: Unpack[EditOptions]) -> Edit:
        """Move units to another grid; see :func:`gridpart.move`."""
        return self._add("move", edits.move(self.plan, units, to, **_own(options)))

    def split(
        self,
        grid: str,
        groups: Iterable[Iterable[Hashable]] | None = None,
        *,
        into: int = 2,
        **options: Unpack[EditOptions],
    ) -> Edit:
        """Split a grid; see :func:`gridpart.split`."""
        return self._add("split", edits.split(self.plan, grid, groups, into=into, **_own(options)))

    def merge(self, grids: Iterable[str], **options: Unpack[EditOptions]) -> Edit:
        """Merge grids; see :func:`gridpart.merge`."""
        return self._add("merge", edits.merge(self.plan, grids, **_own(options)))

    def swap(self, units_a: Any, units_b: Any, **options: Unpack[EditOptions]) -> Edit:
        """Exchange units between two grids; see :func:`gridpart.swap`."""
        return self._add("swap", edits.swap(self.plan, units_a, units_b, **_own(options)))

    def undo(self) -> str:
        """Take back the last edit.

        Returns
        -------
        str
            What was taken back.

        Raises
        ------
        InputError
            If there is nothing to take back.
        """
        if not self._done:
            raise InputError("there is no edit to take back")
        edit = self._done.pop()
        self._undone.append(edit)
        return self._note("undo", f"took back: {edit.sentence}")

    def redo(self) -> str:
        """Do the edit again that was taken back last; any other edit ends this chance.

        Returns
        -------
        str
            What was done again.

        Raises
        ------
        InputError
            If there is nothing to do again.
        """
        if not self._undone:
            raise InputError("there is no edit to do again")
        edit = self._undone.pop()
        self._done.append(edit)
        return self._note("redo", f"did again: {edit.sentence}")

    @contextmanager
    def committing(self, register: Register, *, reason: str = "", at: Any = None) -> Iterator[Plan]:
        """Enter all edits that stand in a register, if the ``with`` block ends well.

        Parameters
        ----------
        register : Register
            Where the codes of the first plan live.
        reason : str
            By default the sentences of the edits.
        at : datetime or str, optional

        Yields
        ------
        Plan
            With the register's codes. Save it in the block: if that fails nothing was entered.

        Raises
        ------
        InputError
            If nothing changed, or the register refuses.
        """
        why = reason or "; ".join(edit.sentence for edit in self._done)
        with recording(self._start, self.plan, register, reason=why, at=at, kind="edit") as plan:
            yield plan

    def _add(self, verb: str, edit: Edit) -> Edit:
        self._done.append(edit)
        self._undone.clear()
        self._note(verb, edit.sentence)
        return edit

    def _note(self, verb: str, sentence: str) -> str:
        now = datetime.datetime.now(datetime.UTC)
        self._log.append((now, verb, sentence))
        return sentence

    def __repr__(self) -> str:
        lines = [f"<History: {len(self._done)} edits, {len(self._undone)} taken back"]
        lines += [f"  {edit.sentence}" for edit in self._done[-5:]]
        return "\n".join(lines) + ">"


def _own(options: EditOptions) -> EditOptions:
    if options.get("register") is not None:
        raise InputError("a history enters its edits in a register at its end: use committing")
    return options
