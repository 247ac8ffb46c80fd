"""gridpart: divide communities into service grids.

Units (parcels, building cells or census blocks with a household count) become connected grids
inside a band of households, with a code each, audited for blind spots and shared among staff.
The public names load on first use, so that ``import gridpart`` is quick.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from gridpart._version import __version__

# public name -> the room it lives in; __init__.pyi lists the same names for type checkers
_ROOMS = {
    "KeptGrid": "codes",
    "NewGrid": "codes",
    "Plan": "plan",
    "Register": "codes",
    "Scheme": "codes",
    "audit": "coverage",
    "audit_assignment": "coverage",
    "assign_codes": "codes",
    "assign_posts": "staffing",
    "write_staff_workbook": "staffing",
    "read_roster": "staffing",
    "check_roster": "staffing",
    "workload": "staffing",
    "workers_needed": "staffing",
    "overloaded": "staffing",
    "lorenz": "staffing",
    "leave": "staffing",
    "hire": "staffing",
    "gini": "staffing",
    "beats": "staffing",
    "audit_counts": "coverage",
    "audit_ok": "coverage",
    "compare_audits": "coverage",
    "build_contiguity": "contiguity",
    "Contiguity": "contiguity",
    "check_code": "codes",
    "check_units": "units",
    "county_town": "samples",
    "describe_units": "units",
    "fix_zones": "coverage",
    "households_per_worker": "staffing",
    "posts_required": "staffing",
    "load_sample": "samples",
    "load_scheme": "codes",
    "load_standard": "standards",
    "open_register": "codes",
    "History": "redraw",
    "change_table": "redraw",
    "redraw": "redraw",
    "merge": "redraw",
    "move": "redraw",
    "split": "redraw",
    "swap": "redraw",
    "plot_changes": "plots",
    "partition": "partition",
    "plot_grids": "plots",
    "plot_lorenz": "plots",
    "plot_sizes": "plots",
    "read_plan": "plan",
    "read_units": "units",
    "repair_units": "units",
    "sample_path": "samples",
    "CodeError": "errors",
    "CRSError": "errors",
    "GridpartError": "errors",
    "GridpartWarning": "errors",
    "InputError": "errors",
    "OutputError": "errors",
}

__all__ = ["__version__", *sorted(_ROOMS)]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'gridpart' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gridpart.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps the room ``gridpart.partition`` from hiding the function of the same name.

    The import system sets a submodule as an attribute of its package; where a public name is
    called like its room, the public name wins.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _ROOMS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
