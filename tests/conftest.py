"""What every test may use: where the real data lies, hypothesis profiles, a silent matplotlib."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import HealthCheck, settings

mpl.use("Agg")

# here, and not where they are used: doctests import every module of this folder
pytest_plugins = ["register_fixtures"]

PROJECT = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get("GRIDPART_SHARED_DATA", PROJECT.parent / "shared" / "data"))

# The first example of a test may have to wait for a kernel to be compiled, so there is no deadline.
settings.register_profile(
    "local", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Folder that holds pyproject.toml."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Path of real data by its name below ``../shared/data``; skips where it is absent.

    The folder can be named by the environment variable ``GRIDPART_SHARED_DATA``.
    """

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"real data not here: {name} (set GRIDPART_SHARED_DATA to its folder)")
        return path

    return find


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """Leave no figure open behind a test: matplotlib warns of the twentieth."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
