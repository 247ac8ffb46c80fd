"""What the tests of the register share: places, codes, and words for what they look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import gridpart as gp

PARENT, OTHER = "420583001001", "420583001002"
CRS = "EPSG:4547"
DAY = "2021-05-{:02d}"
OWN_RANGE = (
    'extends = "unit-grid"\nname = "city"\n[levels.serials]\nbase = [1, 899]\n'
    "exclusive = [900, 999]\n"
)


def code(serial: int, parent: str = PARENT) -> str:
    return f"{parent}{serial:03d}"


def states(register: gp.Register) -> dict[str, str]:
    table = register.codes()
    return dict(zip(table["code"], table["state"], strict=True))


def refused(call: Callable[[], Any]) -> dict[str, tuple[str, ...]]:
    """Kinds of problems with their examples."""
    with pytest.raises(gp.InputError) as caught:
        call()
    return {problem.kind: problem.examples for problem in caught.value.problems}


def tamper(register: gp.Register, *statements: Any) -> None:
    """Write behind the register's back."""
    with register._store.engine.connect() as connection, connection.begin():
        for statement in statements:
            connection.execute(statement)
