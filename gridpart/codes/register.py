"""The register: every code ever issued, what became of it, and what it stood for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gridpart.codes import adopting, history, lineage, overlaps, verifying
from gridpart.codes.changes import Change, Issued, KeptGrid, NewGrid, check_change, write_change
from gridpart.codes.grounds import crs_text
from gridpart.codes.moments import as_past
from gridpart.codes.scheme import Scheme
from gridpart.codes.store import Store, open_store
from gridpart.errors import InputError

if TYPE_CHECKING:
    import os

    import geopandas as gpd
    import pandas as pd
    from shapely.geometry.base import BaseGeometry

    from gridpart.plan import Plan

__all__ = ["Register", "open_register"]


def open_register(
    where: str | os.PathLike[str],
    create: bool = False,
    *,
    scheme: str | os.PathLike[str] | Scheme | None = None,
) -> Register:
    """Open a register of codes: a SQLite file, or a PostgreSQL database.

    Parameters
    ----------
    where : str or path
        A file, or ``postgresql://user@host/database`` (needs ``gridpart[postgres]``).
    create : bool, default False
        Make the register if there is none.
    scheme : str, path or Scheme, optional
        What its codes are made of; ``"unit-grid"`` for a new register. A register keeps the scheme
        that it was made with: an old one is only compared with it.

    Returns
    -------
    Register
        A context manager, which closes it.

    Raises
    ------
    InputError
        If it does not exist and `create` is false, is another database or of a newer gridpart,
        or follows another scheme.
    OutputError
        If it cannot be reached or written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with open_register(pathlib.Path(folder.name) / "codes.sqlite", create=True) as register:
    ...     register.issue("420583001001", 2)
    ['420583001001001', '420583001001002']
    >>> folder.cleanup()
    """
    return Register(open_store(where, create=create, scheme=scheme))


class Register:
    """An open register; see :func:`open_register`.

    Every method is one transaction. A code is never used again, and no row is ever deleted.

    Examples
    --------
    >>> import pathlib, shapely, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> register = open_register(pathlib.Path(folder.name) / "codes.sqlite", create=True)
    >>> west, east = shapely.box(0, 0, 50, 100), shapely.box(50, 0, 100, 100)
    >>> old = register.commit(
    ...     [NewGrid("all", "420583001001", households=400, shape=shapely.union(west, east))],
    ...     reason="first plan", at="2021-05-01", crs="EPSG:4547",
    ... )["all"]
    >>> register.split(old, [west, east], reason="tower", at="2026-05-01", crs="EPSG:4547")
    ['420583001001002', '420583001001003']
    >>> register.lineage(old)[["direction", "code", "share"]].to_numpy().tolist()[1:]
    [['to', '420583001001002', 0.5], ['to', '420583001001003', 0.5]]
    >>> register.at((10, 10))[["code", "state"]].to_numpy().tolist()
    [['420583001001001', 'retired'], ['420583001001002', 'live']]
    >>> register.retire("420583001001001", "cleared")
    Traceback (most recent call last):
        ...
    gridpart.errors.InputError: codes are retired already
        420583001001001, since 2026-05-01T00:00:00Z
    >>> register.close()
    >>> folder.cleanup()
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.scheme = store.scheme

    @property
    def name(self) -> str:
        """File, or URL without its password."""
        return self._store.name

    @property
    def id(self) -> str:
        """What tells this register from every other, wherever it is copied to."""
        return self._store.facts["id"]

    def close(self) -> None:
        """Give back the connections."""
        self._store.close()

    def __enter__(self) -> Register:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        live, retired = history.count(self._store)
        return (
            f"<Register: {live} live and {retired} retired codes of the scheme "
            f"{self.scheme.name} in {self.name}>"
        )

    # ------------------------------------------------------------------ change

    @contextmanager
    def changing(
        self,
        new: Iterable[NewGrid] = (),
        retired: Iterable[str] = (),
        kept: Mapping[str, KeptGrid | None] | Iterable[str] = (),
        *,
        reason: str,
        at: Any = None,
        crs: Any = None,
        kind: str = "change",
        as_of: int | None = None,
    ) -> Iterator[Issued]:
        """Make a change that is written when the ``with`` block ends well, and else not at all.

        Within the block the codes are known and nobody else can touch these communities. Write the
        plan there under another name, and let it take its own after the block: then no plan is
        there whose codes were not issued, and a plan that cannot be written has used none up.
        Parameters and errors are those of :meth:`commit`. With `as_of`, the number of the last
        change that the caller knows of, codes are refused that a later one has drawn otherwise.

        Yields
        ------
        Issued
            Key of each new grid to its code; its ``change`` is the number of the change.
        """
        given = kept if isinstance(kept, Mapping) else dict.fromkeys(kept)
        change = Change(
            new=tuple(new), retired=tuple(retired), kept=dict(given), reason=reason,
            at=None if at is None else as_past(at), crs=crs_text(crs), kind=kind, as_of=as_of,
        )  # fmt: skip
        problems = check_change(change, self.scheme)
        if problems:
            raise InputError(problems)
        store, scheme = self._store, self.scheme
        with store.changing(
            lambda link: write_change(link, store, change, scheme),
            lambda link, issued: overlaps.refuse_taken(link, change, scheme, issued),
        ) as issued:
            yield issued

    def commit(
        self,
        new: Iterable[NewGrid] = (),
        retired: Iterable[str] = (),
        kept: Mapping[str, KeptGrid | None] | Iterable[str] = (),
        *,
        reason: str,
        at: Any = None,
        crs: Any = None,
        kind: str = "change",
    ) -> dict[Hashable, str]:
        """Issue, retire and link codes in one transaction.

        Parameters
        ----------
        new : iterable of NewGrid
            Grids that get codes, in this order: each serial is above every one that was ever
            issued under the parent, within the range of the grid's kind.
        retired : iterable of str
            Codes that are retired.
        kept : mapping of str to KeptGrid, or iterable of str
            Codes that must be live still, and what they stand for from now on (None: as before).
        reason : str
            Why; it stands at every code that is issued or retired.
        at : datetime or str, optional
            When; now, by default. Never later than today.
        crs : object, optional
            CRS of the shapes; needed if there are any.
        kind : str, default "change"
            What the change is called in the list of changes.

        Returns
        -------
        dict
            Key of each new grid to its code.

        Raises
        ------
        InputError
            With every problem, and nothing is written: unknown codes, codes that are retired
            already, parents that are malformed or retired, serials that are used up, shapes that
            are not valid; new grids of which more than half is ground of other live codes.
        OutputError
            If the database cannot be written.
        """
        with self.changing(new, retired, kept, reason=reason, at=at, crs=crs, kind=kind) as issued:
            return issued

    def issue(
        self,
        parent: str,
        n: int = 1,
        *,
        kind: str = "base",
        level: str | None = None,
        reason: str = "issued",
        at: Any = None,
    ) -> list[str]:
        """Issue codes under a parent.

        Parameters
        ----------
        parent : str
        n : int, default 1
        kind, level, reason, at
            See :meth:`commit` and :class:`NewGrid`.
        """
        if n < 1:
            raise InputError(f"n must be 1 or more, got {n}")
        new = [NewGrid(key, parent, kind=kind, level=level) for key in range(n)]
        issued = self.commit(new, reason=reason, at=at, kind="issue")
        return [issued[key] for key in range(n)]

    def retire(self, codes: str | Iterable[str], reason: str, *, at: Any = None) -> None:
        """Retire codes; their ground goes to nobody.

        Parameters
        ----------
        codes : str or iterable of str
        reason : str
        at : datetime or str, optional

        Raises
        ------
        InputError
            If a code is unknown, or retired already.
        """
        listed = [codes] if isinstance(codes, str) else list(codes)
        self.commit(retired=listed, reason=reason, at=at, kind="retire")

    def split(
        self,
        code: str,
        into: int | Sequence[BaseGeometry | NewGrid] = 2,
        *,
        reason: str = "split",
        at: Any = None,
        crs: Any = None,
    ) -> list[str]:
        """Retire a code, and issue new ones for its parts.

        Parameters
        ----------
        code : str
        into : int or sequence of Polygon, MultiPolygon or NewGrid, default 2
            How many parts, or the parts. Of a NewGrid key, parent and predecessors are replaced.
        reason, at, crs
            See :meth:`commit`.

        Returns
        -------
        list of str
        """
        parts: Sequence[Any] = [None] * into if isinstance(into, int) else into
        if len(parts) < 2:
            raise InputError(f"a code is split into two parts or more, got {len(parts)}")
        row = self._row(code)
        new = [
            adopting.part(part, key, row.parent, row.kind, row.level, (code,))
            for key, part in enumerate(parts)
        ]
        issued = self.commit(new, [code], reason=reason, at=at, crs=crs, kind="split")
        return [issued[key] for key in range(len(new))]

    def merge(
        self,
        codes: Iterable[str],
        *,
        shape: BaseGeometry | None = None,
        parent: str | None = None,
        kind: str | None = None,
        reason: str = "merge",
        at: Any = None,
        crs: Any = None,
    ) -> str:
        """Retire codes, and issue one new one for all of their ground.

        Parameters
        ----------
        codes : iterable of str
        shape : Polygon or MultiPolygon, optional
            By default the union of their grounds, if all are known.
        parent : str, optional
            Of the new code; needed if those of the codes differ.
        kind : str, optional
            Likewise.
        reason, at, crs
            See :meth:`commit`.

        Returns
        -------
        str
        """
        listed = list(dict.fromkeys(codes))
        if len(listed) < 2:
            raise InputError("two codes or more are merged")
        merged, own_crs = history.merged(self._store, listed, shape, parent, kind)
        issued = self.commit(
            [merged], listed, reason=reason, at=at, crs=crs if shape is not None else own_crs,
            kind="merge",
        )  # fmt: skip
        return issued["merged"]

    def adopt(
        self,
        codes: pd.DataFrame | Plan | Iterable[str],
        *,
        code: str | None = None,
        issued: Any = None,
        reason: str = "adopted",
        at: Any = None,
    ) -> int:
        """Enter codes that were issued before the register existed.

        Parameters
        ----------
        codes : DataFrame, GeoDataFrame, Plan or iterable of str
            A table has the codes in ``code`` or ``grid_code``, and may have ``state``, ``kind``,
            ``households``, ``area_m2``, ``issued``, ``retired``, ``reason`` (or ``issue_reason``
            and ``retire_reason``), ``predecessors``, ``successors`` (codes parted by ``;``) and a
            geometry. What :meth:`codes` returns goes from one register to another so.
        code : str, optional
            Column with the codes, if it is called otherwise.
        issued : datetime or str, optional
            When they were issued, where the table does not say; by default `at`.
        reason : str, default "adopted"
        at : datetime or str, optional
            When they are entered; now, by default.

        Returns
        -------
        int
            How many.

        Raises
        ------
        InputError
            If a code is malformed, doubled, or in the register already, with all of them; if there
            is no column of codes; if more than half of a live code's ground is that of other live
            codes of its level. If it is less, a GridpartWarning says so.

        Notes
        -----
        Serials that are issued afterwards are above all that were adopted, live or retired.
        """
        frame = adopting.as_frame(codes, code, self.scheme)
        return adopting.adopt(self._store, self.scheme, frame, issued, reason, at)

    # ------------------------------------------------------------------ ask

    def codes(
        self, live: bool | None = None, *, crs: Any = None, ground: str = "issued"
    ) -> gpd.GeoDataFrame:
        """Every code, with what became of it and what it stood for when it was issued.

        Parameters
        ----------
        live : bool, optional
            True for the live ones only, False for the retired ones.
        crs : object, optional
            CRS of the geometry; by default that of most grounds.
        ground : {"issued", "last"}, default "issued"
            Households, area and geometry when it was issued, or as it stood last.

        Returns
        -------
        GeoDataFrame
            One row a code, in their order: ``code``, ``state`` (``live``, ``retired``),
            ``issued``, ``retired`` (UTC), ``reason`` (of the last of these), ``predecessors``,
            ``successors`` (codes parted by ``;``), ``households``, ``area_m2``, ``parent``,
            ``kind``, ``level``, ``issue_reason``, ``retire_reason`` and the geometry.
        """
        return history.codes(self._store, live, crs, ground)

    def lineage(self, code: str) -> pd.DataFrame:
        """Where a code's area went, and where it came from, generation by generation.

        Parameters
        ----------
        code : str

        Returns
        -------
        DataFrame
            ``direction`` (``from``, ``self``, ``to``), ``generation`` (negative: before; 0: the
            code itself; positive: after), ``code``, ``via`` (the code one step nearer), ``at``
            and ``reason`` (of the change by which the ground went over; ``self``: of its issue),
            ``state`` (now), ``households``, ``area_m2`` and ``share`` (by area, of the ground of
            the code asked for, NaN where one is not known; ``to``: of what it had before it first
            gave any away, ``from``: of what it had when it had got all).

        Raises
        ------
        InputError
            If the code was never issued.
        """
        return lineage.lineage(self._store, code)

    def at(self, place: Any, crs: Any = None, when: Any = None) -> pd.DataFrame:
        """Which codes covered a place over time.

        Parameters
        ----------
        place : geometry, (x, y), GeoSeries or GeoDataFrame
        crs : object, optional
            CRS of the place. By default its own, else that of the register's grounds, if they
            have one and the same.
        when : datetime or str, optional
            Only what covered it then.

        Returns
        -------
        DataFrame
            In the order of time: ``code``, ``since``, ``until`` (None: still), ``state``,
            ``kind``, ``households``, ``area_m2``, ``share`` (of the place, if it is an area; a
            point is covered by all codes on whose border it lies).

        Raises
        ------
        CRSError
            If the CRS is missing and the grounds have several.
        """
        return lineage.at(self._store, place, crs, when)

    def grounds(self, code: str) -> gpd.GeoDataFrame:
        """What a code stood for, from when to when: a row for each time it was redrawn."""
        return history.grounds(self._store, code)

    def changes(self) -> pd.DataFrame:
        """Every change: ``change``, ``at``, ``kind``, ``reason``, and how much it wrote."""
        return history.changes(self._store)

    def snapshot(self, codes: Iterable[str] | None = None) -> pd.DataFrame:
        """What a plan carries of the register: its codes as they stand now.

        Parameters
        ----------
        codes : iterable of str, optional
            By default all live ones.

        Returns
        -------
        DataFrame
            ``code``, ``state``, ``issued``, ``retired``, ``reason``, ``predecessors``,
            ``successors``, ``households``, ``area_m2``, ``register`` (its id) and ``as_of``.

        Raises
        ------
        InputError
            If a code is not in the register, with all of them.
        """
        return history.snapshot(self._store, codes)

    def verify(self) -> pd.DataFrame:
        """Look for what cannot be: gaps in the lineage, live codes on the same ground.

        Returns
        -------
        DataFrame
            ``check``, ``code`` and ``message``; no rows if all is well.
        """
        return verifying.verify(self._store, self.scheme)

    def _row(self, code: str) -> Any:
        return history.row_of(self._store, code)
