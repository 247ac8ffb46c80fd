"""Teams by rule: the roles of a team, and how many posts of each its grids ask for."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

from gridpart.errors import InputError, Problem

__all__ = [
    "KINDS",
    "PER",
    "RoleTerms",
    "Standard",
    "Team",
    "TeamRule",
    "is_text",
    "meant",
    "team_faults",
]

Per = Literal["grid", "community", "households"]
PER: tuple[str, ...] = ("grid", "community", "households")
KINDS = ("base", "exclusive")
Row = Mapping[str, Any]
Fault = tuple[str, str]  # key path, and what is wrong and what to do


@dataclass(frozen=True)
class RoleTerms:
    """A role, and the words by which rosters call it.

    Parameters
    ----------
    name : str
        One word, by which rules and tables call the role.
    title : str
        The official title, such as 网格长.
    aliases : tuple of str, optional
        Other words that a roster may use for it.
    """

    name: str
    title: str
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _keep_tuple(self, "aliases")
        _refuse("a role", role_faults(vars(self)))

    @property
    def words(self) -> tuple[str, ...]:
        """Name, title and aliases."""
        return (self.name, self.title, *self.aliases)


@dataclass(frozen=True)
class TeamRule:
    """How many posts of a role the grids of a place ask for.

    Parameters
    ----------
    role : str
        Name of the role.
    per : {"grid", "community", "households"}
        What is counted: every grid; every community that has such grids; or the households of
        such grids in a community, for every `households` of them or part of it. Where there are
        no communities, all grids together are one.
    number : int, default 1
        Posts for each. 0: the role is welcome, none is required.
    households : int, optional
        Only with ``per="households"``, and needed there.
    kinds : tuple of {"base", "exclusive"}, default both
        The grids that the rule speaks of. Several rules of one role add up.
    max_grids : int, optional
        Grids that one holder may have at most.
    cross_borders : bool, default False
        Whether a holder's grids may lie in several communities.

    Raises
    ------
    InputError
        With everything that is wrong with the rule.

    Examples
    --------
    >>> print(TeamRule("doctor", "households", households=1500, cross_borders=True))
    1 per 1,500 households or part of it, across communities
    """

    role: str
    per: Per
    number: int = 1
    households: int | None = None
    kinds: tuple[str, ...] = KINDS
    max_grids: int | None = None
    cross_borders: bool = False

    def __post_init__(self) -> None:
        _keep_tuple(self, "kinds")
        _refuse("a rule", rule_faults(vars(self)))

    def __str__(self) -> str:
        parts = [f"{self.number} per {self._counted}" if self.number else "welcome, none required"]
        if self.max_grids is not None:
            parts.append(f"at most {self.max_grids} grid{'s' * (self.max_grids > 1)} each")
        if self.cross_borders:
            parts.append("across communities")
        if set(self.kinds) != set(KINDS):
            parts.append(f"{' and '.join(self.kinds)} grids")
        return ", ".join(parts)

    @property
    def _counted(self) -> str:
        if self.per != "households":
            return self.per
        return f"{self.households:,} households or part of it"


@dataclass(frozen=True, repr=False)
class Team:
    """The roles of a team and the rules that say how many of each there must be.

    Parameters
    ----------
    roles : tuple of RoleTerms
        In the order in which tables show them.
    rules : tuple of TeamRule
        At least one for every role.

    Raises
    ------
    InputError
        With everything that does not fit: no role, a word of two roles, a rule for an unknown
        role, a role without a rule.

    Examples
    --------
    >>> team = Team(
    ...     (RoleTerms("leader", "网格长"), RoleTerms("doctor", "医生", ("家庭医生",))),
    ...     (TeamRule("leader", "grid", max_grids=2), TeamRule("doctor", "community")),
    ... )
    >>> team
    Team of 2 roles
      leader 网格长: 1 per grid, at most 2 grids each
      doctor 医生: 1 per community
    >>> team.name_of("家庭 医生")
    'doctor'
    """

    roles: tuple[RoleTerms, ...]
    rules: tuple[TeamRule, ...]

    def __post_init__(self) -> None:
        _keep_tuple(self, "roles")
        _keep_tuple(self, "rules")
        faults = team_faults([vars(role) for role in self.roles], [vars(r) for r in self.rules])
        _refuse("a team", faults)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the roles, in their order."""
        return tuple(role.name for role in self.roles)

    @cached_property
    def _by_word(self) -> dict[str, str]:
        return {plain_word(word): role.name for role in self.roles for word in role.words}

    def name_of(self, word: object) -> str | None:
        """Name of the role that a roster's word means; None if it means none.

        Case, blanks, hyphens, underscores and full-width characters make no difference.
        """
        return self._by_word.get(plain_word(word)) if isinstance(word, str) else None

    def rules_of(self, role: str) -> tuple[TeamRule, ...]:
        """Rules of a role, which may be called by any of its words.

        Raises
        ------
        InputError
            If the team has no such role; the message has those it has.
        """
        name = self.name_of(role)
        if name is None:
            known = ", ".join(self.names)
            raise InputError(f"no role {role!r} in the team, which has: {known}")
        return tuple(rule for rule in self.rules if rule.role == name)

    def __repr__(self) -> str:
        number = len(self.roles)
        lines = [f"Team of {number} role{'s' * (number != 1)}"]
        for role in self.roles:
            rules = "; ".join(map(str, self.rules_of(role.name)))
            lines.append(f"  {role.name} {role.title}: {rules}")
        return "\n".join(lines)


@dataclass(frozen=True, repr=False)
class Standard:
    """What a place has published, or what a user has written down, about its grids.

    Parameters
    ----------
    name : str
        By which it is loaded.
    title : str
        What it is called, for people.
    place : str
        Where it holds; empty where it belongs to no place.
    year : int or None
        When it was published.
    sources : tuple of str
        Where every figure comes from, and which are a choice.
    team : Team
        Made by :func:`gridpart.standards.load_standard`.
    """

    name: str
    title: str
    place: str
    year: int | None
    sources: tuple[str, ...]
    team: Team

    def __repr__(self) -> str:
        where = ", ".join(str(part) for part in (self.place, self.year) if part)
        head = f"Standard {self.name}: {self.title}{f'; {where}' if where else ''}"
        # the team's own text, without its first line
        team = repr(self.team).splitlines()[1:]
        sources = [f"  source: {source}" for source in self.sources]
        return "\n".join([head, *team, *sources])


def plain_word(word: str) -> str:
    """Word as it is compared: half-width, in small letters, without blanks and joining marks."""
    return re.sub(r"[\s_\-]", "", unicodedata.normalize("NFKC", word)).casefold()


def meant(word: object, known: Iterable[str]) -> str:
    """Name the known word that was probably meant, if there is one near."""
    near = difflib.get_close_matches(str(word), sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


# --------------------------------------------------------------------------- what can be wrong


def role_faults(row: Row) -> Iterator[Fault]:
    """What is wrong with the fields of one role."""
    yield from _unknown_keys(row, RoleTerms)
    name, title, aliases = row.get("name"), row.get("title"), row.get("aliases", ())
    if not (isinstance(name, str) and name.isidentifier()):
        yield "name", f"{_shown(name)}; give the role one word, such as leader"
    if not is_text(title):
        yield "title", f"{_shown(title)}; give the official title, such as 网格长"
    if not (isinstance(aliases, list | tuple) and all(map(is_text, aliases))):
        yield "aliases", f"{_shown(aliases)}; list words in quotation marks, or leave the key out"


def rule_faults(row: Row) -> Iterator[Fault]:
    """What is wrong with the fields of one rule, by itself."""
    yield from _unknown_keys(row, TeamRule)
    per, number = row.get("per"), row.get("number", 1)
    if not is_text(row.get("role")):
        yield "role", f"{_shown(row.get('role'))}; name a role of the team"
    if per not in PER:
        yield "per", f"{_shown(per)}; say one of {', '.join(PER)}{meant(per, PER)}"
    if not _is_whole(number, 0):
        yield "number", f"{_shown(number)}; give a whole number from 0, where 0 means welcome"
    yield from _households_faults(per, row.get("households"))
    kinds = row.get("kinds", KINDS)
    if not (isinstance(kinds, list | tuple) and kinds and all(kind in KINDS for kind in kinds)):
        yield "kinds", f"{_shown(kinds)}; list one or both of {', '.join(KINDS)}"
    most, cross = row.get("max_grids"), row.get("cross_borders", False)
    if most is not None and not _is_whole(most, 1):
        yield "max_grids", f"{_shown(most)}; give a whole number from 1, or leave the key out"
    if not isinstance(cross, bool):
        yield "cross_borders", f"{_shown(cross)}; say true or false"


def _households_faults(per: object, households: object) -> Iterator[Fault]:
    if per == "households" and not _is_whole(households, 1):
        yield (
            "households",
            f"{_shown(households)}; say for how many households a post stands, from 1",
        )
    elif per in PER and per != "households" and households is not None:
        yield "households", f'stands beside per = "{per}"; leave it out, or say per = "households"'


def team_faults(roles: Sequence[Row], rules: Sequence[Row], *, above: str = "") -> Iterator[Fault]:
    """Everything that is wrong with roles and rules, by themselves and together.

    Parameters
    ----------
    roles, rules : sequence of mapping
        Fields as :class:`RoleTerms` and :class:`TeamRule` take them, of any type.
    above : str, optional
        What stands before every key path, such as ``"team."``.

    Yields
    ------
    tuple of str
        Key path, counted from 1, such as ``"rules[2].per"``, and what is wrong and what to do.
    """
    at_role = [f"{above}roles[{number}]" for number in range(1, len(roles) + 1)]
    at_rule = [f"{above}rules[{number}]" for number in range(1, len(rules) + 1)]
    for path, row in zip(at_role, roles, strict=True):
        yield from ((f"{path}.{key}", text) for key, text in role_faults(row))
    for path, row in zip(at_rule, rules, strict=True):
        yield from ((f"{path}.{key}", text) for key, text in rule_faults(row))
    if not roles:
        yield f"{above}roles", "there is none; write a table [[team.roles]] for each"
    yield from _shared_words(at_role, roles)
    names = [row["name"] for row in roles if is_text(row.get("name"))]
    ruled = [row["role"] for row in rules if is_text(row.get("role"))]
    for path, row in zip(at_rule, rules, strict=True):
        role = row.get("role")
        if is_text(role) and role not in names:
            known = ", ".join(names) or "none"
            yield f"{path}.role", f"no role {role!r}; the roles are: {known}"
    for path, row in zip(at_role, roles, strict=True):
        if is_text(row.get("name")) and row["name"] not in ruled:
            text = f"no rule for {row['name']!r}; write one, with number = 0 if none is required"
            yield f"{path}.name", text


def _shared_words(paths: Sequence[str], roles: Sequence[Row]) -> Iterator[Fault]:
    """Words that mean two roles; within one role a word may stand twice."""
    first: dict[str, tuple[str, str]] = {}
    for path, row in zip(paths, roles, strict=True):
        aliases = row.get("aliases", ())
        spoken = [(key, row.get(key)) for key in ("name", "title")]
        if isinstance(aliases, list | tuple):
            spoken += [("aliases", word) for word in aliases]
        for key, word in spoken:
            if not isinstance(word, str) or not is_text(word):
                continue
            owner, where = first.setdefault(plain_word(word), (path, f"{path}.{key}"))
            if owner != path:
                text = f"{word!r} stands at {where} already; a word must mean one role"
                yield f"{path}.{key}", text


def _unknown_keys(row: Row, kind: type[RoleTerms] | type[TeamRule]) -> Iterator[Fault]:
    known = [field.name for field in fields(kind)]
    for key in row:
        if key not in known:
            yield key, f"unknown key{meant(key, known) or '; known are: ' + ', '.join(known)}"


def _shown(value: object) -> str:
    return "missing" if value is None else f"is {value!r}"


def is_text(value: object) -> bool:
    """Whether a value is a text that says something."""
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: object, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _keep_tuple(made: RoleTerms | TeamRule | Team, name: str) -> None:
    """Let a list be given for a tuple: what is frozen must not hold what can change."""
    value = getattr(made, name)
    if isinstance(value, list):
        object.__setattr__(made, name, tuple(value))


def _refuse(what: str, faults: Iterable[Fault]) -> None:
    found = tuple(f"{path}: {text}" for path, text in faults)
    if found:
        raise InputError(Problem("team", f"{what} cannot be used", found))
