"""Codes of grids: schemes as data, codes for a plan, and the register of every code ever issued.

The register's names load on first use: who only checks codes does not wait for a database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gridpart.codes.assign import (
    assign_codes,
    issuing,
    scheme_of,
    snapshot_of,
    with_codes,
    with_snapshot,
)
from gridpart.codes.divisions import divisions_from, read_divisions
from gridpart.codes.forms import check_code, check_parent, make_code
from gridpart.codes.reading import load_scheme, shipped_schemes
from gridpart.codes.scheme import Level, Scheme, Segment

if TYPE_CHECKING:
    from gridpart.codes.changes import KeptGrid, NewGrid
    from gridpart.codes.register import Register, open_register

__all__ = [
    "KeptGrid",
    "Level",
    "NewGrid",
    "Register",
    "Scheme",
    "Segment",
    "assign_codes",
    "check_code",
    "check_parent",
    "divisions_from",
    "issuing",
    "load_scheme",
    "make_code",
    "open_register",
    "read_divisions",
    "scheme_of",
    "shipped_schemes",
    "snapshot_of",
    "with_codes",
    "with_snapshot",
]

_LATER = {
    "KeptGrid": "changes",
    "NewGrid": "changes",
    "Register": "register",
    "open_register": "register",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'gridpart.codes' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gridpart.codes.{_LATER[name]}"), name)
    globals()[name] = value
    return value
