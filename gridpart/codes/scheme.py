"""Code schemes: what a code is made of, as data.

A scheme is a TOML file: segments from left to right, the levels whose areas carry a code (each ends
with a segment), and the serials that are issued at a level. A new city's scheme is one such file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gridpart.codes import columns
from gridpart.codes.checkchar import METHODS, characters
from gridpart.codes.divisions import division_lengths
from gridpart.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandas as pd

__all__ = ["Level", "Scheme", "Segment"]


@dataclass(frozen=True)
class Segment:
    """Some characters of a code that mean one thing.

    Parameters
    ----------
    name : str
    width : int
        Number of characters.
    alphabet : str
        Every character that may stand in it.
    parent : str, optional
        Segment before it, within which it counts.
    values : tuple of str
        If there are any, the only ones that may stand in it.
    ranges : tuple of (int, int)
        If there are any, the numbers that may, both ends among them.
    classes : tuple of (str, int, int)
        What numbers mean: name, first, last.
    source : str
        Standard that says so.
    """

    name: str
    width: int
    alphabet: str = "0123456789"
    parent: str | None = None
    values: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    classes: tuple[tuple[str, int, int], ...] = ()
    source: str = ""

    def class_of(self, text: str) -> str | None:
        """Name of the class that a number is of; None if it is of none."""
        if not text.isdigit():
            return None
        return next((name for name, a, b in self.classes if a <= int(text) <= b), None)

    def wrong_with(self, text: str, alphabet: str) -> str | None:
        """Say what is wrong with the characters of this segment; None if nothing is."""
        alien = next((letter for letter in text if letter not in alphabet), None)
        if alien is not None:
            return f"has {alien!r} in its {self.name}, which may hold only {_told(alphabet)}"
        if self.values and text not in self.values:
            return f"has the {self.name} {text}, which must be {' or '.join(self.values)}"
        if self.ranges and text.isdigit() and not self.holds(int(text)):
            return f"has the {self.name} {text}; {self.name}s run {self.told_ranges}"
        return None

    def holds(self, number: int) -> bool:
        """Whether a number lies in the ranges."""
        return any(low <= number <= high for low, high in self.ranges)

    @property
    def told_ranges(self) -> str:
        """The ranges in words, with leading zeros."""
        pairs = (f"from {a:0{self.width}d} to {b:0{self.width}d}" for a, b in self.ranges)
        return " or ".join(pairs)


@dataclass(frozen=True)
class Level:
    """Areas that carry a code of their own.

    Parameters
    ----------
    name : str
        Such as ``"grid"``.
    through : str
        Segment with which their code ends.
    serials : mapping of str to (int, int)
        Kind of grid (``base``, ``exclusive``) to first and last serial; kinds without a range of
        their own count among the base grids. Empty where codes are given by others.
    source : str
    """

    name: str
    through: str
    serials: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    source: str = ""

    def series_of(self, kind: str) -> str:
        """Kind by whose range a kind is numbered."""
        return kind if kind in self.serials else "base"

    def series_with(self, serial: int) -> str | None:
        """Kind in whose range a serial lies; None if in none."""
        return next((kind for kind, (a, b) in self.serials.items() if a <= serial <= b), None)


@dataclass(frozen=True)
class Scheme:
    """What codes are made of; see :func:`load_scheme`.

    Parameters
    ----------
    name, title, title_zh, source : str
    segments : tuple of Segment
        From left to right.
    levels : tuple of Level
        From the shortest code to the longest.
    legacy_alphabet : str
        Every character that an old code may hold anywhere; empty if there are none such.
    order : str
        How serials are laid out; ``"rows"``: from the north-west, row by row.
    check_character : str
        Method of a separate check character; empty for none.

    Examples
    --------
    >>> from gridpart.codes import load_scheme
    >>> scheme = load_scheme("unit-grid")
    >>> scheme.parse("420583001001007")["serial"]
    '007'
    >>> scheme.format(parent="420583001001", serial=7)
    '420583001001007'
    >>> scheme.check("42058300100100x")
    "has 'x' in its serial, which may hold only digits and capital letters"
    """

    name: str
    title: str
    source: str
    segments: tuple[Segment, ...]
    levels: tuple[Level, ...]
    legacy_alphabet: str = ""
    order: str = "rows"
    check_character: str = ""
    title_zh: str = ""

    @cached_property
    def starts(self) -> dict[str, tuple[Segment, int, int]]:
        """Name of a segment to the segment, where it begins and where it ends."""
        spans, at = {}, 0
        for segment in self.segments:
            spans[segment.name] = (segment, at, at + segment.width)
            at += segment.width
        return spans

    def level(self, name: str | None = None) -> Level:
        """A level by its name; by default the one with the longest codes.

        Raises
        ------
        InputError
            If there is no such level; the message has those there are.
        """
        if name is None:
            return self.levels[-1]
        for level in self.levels:
            if level.name == name:
                return level
        there = ", ".join(level.name for level in self.levels)
        raise InputError(f"scheme {self.name}: no level {name!r}; there are {there}")

    def width(self, level: str | None = None) -> int:
        """Number of characters of a level's codes."""
        return self.starts[self.level(level).through][2]

    def parent_width(self, level: str | None = None) -> int:
        """Number of characters of the parent of a level's codes."""
        return self.starts[self.level(level).through][1]

    def level_of(self, code: str) -> Level | None:
        """Level whose codes are as long as this one."""
        return next((level for level in self.levels if self.width(level.name) == len(code)), None)

    def pieces(self, code: str) -> Iterator[tuple[Segment, str]]:
        """Segments of a code with what stands in each."""
        for segment, start, end in self.starts.values():
            if end > len(code):
                return
            yield segment, code[start:end]

    # ------------------------------------------------------------------ check

    def check(
        self,
        codes: Any,
        *,
        level: str | None = None,
        parent: Any = None,
        divisions: Collection[str] | None = None,
        legacy: bool = True,
    ) -> Any:
        """Say what is wrong with a code, or with every code of a column.

        Parameters
        ----------
        codes : object or Series
            One code, or a column of them.
        level : str, optional
            Level of the codes; by default any level of the scheme.
        parent : str or Series, optional
            With what a code must begin; of a column one for all, or one for each.
        divisions : collection of str, optional
            Division codes that exist (see :func:`read_divisions`), in which the code's county,
            street and community are looked up as far as the list has codes of that length.
        legacy : bool, default True
            Whether old codes pass, where the scheme knows such.

        Returns
        -------
        str, None or Series
            The reason, which names the segment; None if nothing is wrong. Of a column a Series of
            these on its index.

        Raises
        ------
        InputError
            If there is no such level, or `parent` is on another index.

        Examples
        --------
        >>> import pandas as pd
        >>> from gridpart.codes import load_scheme
        >>> codes = pd.Series(["420583001001007", "420583001002000"], index=["a", "b"])
        >>> load_scheme("unit-grid").check(codes)["b"]
        'has the serial 000; serials run from 001 to 999'
        """
        known = None if divisions is None else frozenset(divisions)
        lengths = () if known is None else division_lengths(known)

        def wrong(code: Any, begins: Any) -> str | None:
            reason = self._wrong(code, level, legacy)
            if reason is None and begins is not None and not code.startswith(begins):
                reason = f"begins with {code[: len(begins)]}, not with its parent {begins}"
            if reason is None and known is not None:
                reason = self.unlisted(code, known, lengths)
            return reason

        return columns.map_pairs(wrong, codes, parent)

    def _wrong(self, code: Any, level: str | None, legacy: bool) -> str | None:
        reason = columns.not_text(code)
        if reason is not None:
            return reason
        widths = [self.width(level)] if level else [self.width(one.name) for one in self.levels]
        if len(code) not in widths:
            return f"has {len(code)} characters, not {' or '.join(map(str, widths))}"
        for segment, text in self.pieces(code):
            alphabet = self.legacy_alphabet if legacy and self.legacy_alphabet else segment.alphabet
            reason = segment.wrong_with(text, alphabet)
            if reason is not None:
                return reason
        return None

    def unlisted(self, code: str, known: frozenset[str], lengths: tuple[int, ...]) -> str | None:
        """Say which division a code begins with that a list does not have."""
        for segment, _, end in self.starts.values():
            if end in lengths and end <= len(code) and code[:end] not in known:
                return f"has the {segment.name} {code[:end]}, which is not in the list of divisions"
        return None

    def check_parent(
        self, parent: Any, *, level: str | None = None, divisions: Collection[str] | None = None
    ) -> str | None:
        """Say what is wrong with the parent of new codes; None if nothing is.

        Parameters
        ----------
        parent : object
        level : str, optional
            Level of the new codes; by default the one with the longest.
        divisions : collection of str, optional
            Division codes that exist.

        Returns
        -------
        str or None
        """
        reason = columns.not_text(parent)
        if reason is not None:
            return reason
        width = self.parent_width(level)
        parts = [segment for segment, _, end in self.starts.values() if end <= width]
        if len(parent) != width:
            told = " + ".join(f"{segment.name} {segment.width}" for segment in parts)
            unit = _told("".join(sorted({*"".join(segment.alphabet for segment in parts)})))
            return f"must be {width} {unit}, {told}, but has {len(parent)} characters"
        for segment, text in self.pieces(parent):
            reason = segment.wrong_with(text, segment.alphabet)
            if reason is not None:
                return _not_all(parent, segment, reason)
        if divisions is None:
            return None
        known = frozenset(divisions)
        return self.unlisted(parent, known, division_lengths(known))

    # ------------------------------------------------------------------ parse and format

    def parse(self, codes: Any, *, level: str | None = None) -> Any:
        """Take codes apart.

        Parameters
        ----------
        codes : str or Series
            One code, or a column of them.
        level : str, optional
            Level of the codes; by default any level of the scheme.

        Returns
        -------
        dict or DataFrame
            What stands in each segment (None where the code ends before), ``level``, and for
            segments with classes ``<segment>_class``. Of a column, a row a code, on its index.

        Raises
        ------
        CodeError
            If a single code is out of form.
        InputError
            If codes of a column are, with all of them.

        Examples
        --------
        >>> from gridpart.codes import load_scheme
        >>> parts = load_scheme("micro-grid").parse("42058320020000742")
        >>> parts["serial"], parts["micro"], parts["street_class"], parts["community_class"]
        ('007', '42', 'township', 'villagers')
        """
        return columns.parse(self, codes, level)

    def format(
        self, parts: pd.DataFrame | None = None, *, level: str | None = None, **given: Any
    ) -> Any:
        """Join segments to codes.

        Parameters
        ----------
        parts : DataFrame, optional
            Columns named like segments, as :meth:`parse` returns them.
        level : str, optional
            Level of the codes; by default the one with the longest.
        **given : str, int or Series
            Segments by name; ``parent`` stands for all but the last. Whole numbers get leading
            zeros, texts must be as wide as the segment. Columns must share one index.

        Returns
        -------
        str or Series
            A code; a Series if anything is a column, on its index.

        Raises
        ------
        CodeError
            If a single code cannot be made.
        InputError
            If codes of a column cannot, with all of them; if a segment is missing.

        Examples
        --------
        >>> import pandas as pd
        >>> from gridpart.codes import load_scheme
        >>> serials = pd.Series([7, 8], index=["a", "b"])
        >>> load_scheme("unit-grid").format(parent="420583001001", serial=serials)["b"]
        '420583001001008'
        """
        return columns.join(self, parts, level, given)

    def join(self, parent: str, serial: int, level: str | None = None) -> str:
        """Code of a parent and a serial, both already checked."""
        width = self.width(level) - self.parent_width(level)
        return f"{parent}{serial:0{width}d}"

    def serial_of(self, code: str) -> int | None:
        """Serial with which a code ends; None if that is not a number."""
        level = self.level_of(code)
        if level is None:
            return None
        text = code[self.parent_width(level.name) :]
        return int(text) if text.isascii() and text.isdigit() else None

    def check_characters(self, codes: Any, *, method: str | None = None) -> Any:
        """Check character of a code, which stands in a field of its own.

        Parameters
        ----------
        codes : str or Series
        method : str, optional
            ``"mod-11-2"`` (digits) or ``"mod-37-36"`` (digits and capital letters), both of ISO
            7064; by default that of the scheme.

        Returns
        -------
        str or Series
            Of a column, on its index.

        Raises
        ------
        InputError
            If neither the scheme nor `method` names one, or ``python-stdnum`` is not installed.
        CodeError
            If a code holds what the method does not know.

        Examples
        --------
        >>> from gridpart.codes import load_scheme
        >>> load_scheme("unit-grid").check_characters("420106005012003", method="mod-11-2")
        '1'
        """
        chosen = method or self.check_character
        if chosen not in METHODS:
            known = ", ".join(METHODS)
            raise InputError(f"scheme {self.name}: choose a check character's method: {known}")
        return characters(codes, chosen)

    # ------------------------------------------------------------------ as text

    def as_json(self) -> str:
        """The whole scheme as text, to be kept beside what was made by it."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Scheme:
        """Scheme from what :meth:`as_json` wrote."""
        facts = json.loads(text)
        segments = [
            {
                **segment,
                "values": tuple(segment["values"]),
                "ranges": tuple((a, b) for a, b in segment["ranges"]),
                "classes": tuple((name, a, b) for name, a, b in segment["classes"]),
            }
            for segment in facts.pop("segments")
        ]
        levels = [
            {**level, "serials": {kind: (a, b) for kind, (a, b) in level["serials"].items()}}
            for level in facts.pop("levels")
        ]
        return cls(
            segments=tuple(Segment(**segment) for segment in segments),
            levels=tuple(Level(**level) for level in levels),
            **facts,
        )


def _told(alphabet: str) -> str:
    """An alphabet in words."""
    names = {
        "0123456789": "digits",
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ": "digits and capital letters",
    }
    return names.get(alphabet) or ", ".join(alphabet)


def _not_all(parent: str, segment: Segment, reason: str) -> str:
    """Why a parent of the right length is out of form."""
    if all(letter in segment.alphabet for letter in parent):
        return reason
    return f"has characters that are not all {_told(segment.alphabet)}: it {reason}"
