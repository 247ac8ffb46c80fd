"""Check characters of ISO 7064, through ``python-stdnum``."""

from __future__ import annotations

import importlib
import string
from types import ModuleType
from typing import Any

from gridpart.codes import columns
from gridpart.errors import InputError

__all__ = ["METHODS", "characters"]

# name of a method -> its module, and what a code may hold
METHODS = {
    "mod-11-2": ("mod_11_2", string.digits),
    "mod-37-36": ("mod_37_36", string.digits + string.ascii_uppercase),
}


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"stdnum.iso7064.{name}")
    except ImportError as error:
        raise InputError(
            "check characters need python-stdnum; install it with: pip install 'gridpart[check]'"
        ) from error


def characters(codes: Any, method: str) -> Any:
    """Check character of a code, or of every code of a column.

    Parameters
    ----------
    codes : str or Series
    method : str
        One of `METHODS`.

    Returns
    -------
    str or Series
        On the index of the column.

    Raises
    ------
    CodeError
        If a single code holds what the method does not know.
    InputError
        If codes of a column do; if ``python-stdnum`` is not installed.
    """
    name, alphabet = METHODS[method]
    module = _module(name)

    def wrong(code: Any) -> str | None:
        reason = columns.not_text(code)
        if reason is None and not set(code) <= set(alphabet):
            told = "digits" if alphabet == string.digits else "digits and capital letters"
            reason = f"holds {sorted(set(code) - set(alphabet))[0]!r}; {method} knows {told} only"
        return reason

    return columns.convert(codes, wrong, lambda code: str(module.calc_check_digit(code)))
