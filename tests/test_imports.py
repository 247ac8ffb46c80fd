"""The arrows of docs/architecture.md: who may import whom, and that importing stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gridpart

PACKAGE = Path(gridpart.__file__).parent

# Room -> its modules or packages.
ROOMS = {
    "errors": ["errors", "_version"],
    "files": ["_io", "_progress"],
    "excel": ["_excel"],
    "geometry": ["_geometry"],
    "contiguity": ["contiguity", "barriers"],
    "units": ["units"],
    "plan": ["plan", "rules"],
    "engine": ["engine"],
    "problem": ["problem"],
    "partition": ["partition", "explain"],
    "codes": ["codes"],
    "redraw": ["redraw"],
    "coverage": ["coverage"],
    "standards": ["standards"],
    "staffing": ["staffing"],
    "plots": ["plots"],
    "report": ["report"],
    "samples": ["samples"],
    "cli": ["cli", "demo", "__main__"],
}

# Room -> the rooms it may import, besides itself and errors.
ARROWS = {
    "errors": set(),
    "files": set(),
    "excel": {"files"},
    "geometry": set(),
    "contiguity": {"geometry"},
    "units": {"files", "geometry", "contiguity"},
    "plan": {"files", "geometry", "contiguity"},
    "engine": set(),
    "problem": {"files", "geometry", "contiguity", "engine", "plan"},
    "partition": {"geometry", "units", "contiguity", "engine", "problem", "plan"},
    "codes": {"files", "geometry", "plan"},
    "coverage": {"geometry", "units", "contiguity", "codes", "plan"},
    "redraw": {
        "files",
        "excel",
        "geometry",
        "contiguity",
        "units",
        "engine",
        "problem",
        "partition",
        "plan",
        "codes",
    },
    "standards": {"files"},
    "staffing": {"files", "excel", "contiguity", "engine", "plan", "standards"},
    "plots": {"files", "plan", "redraw"},
    "report": set(ROOMS) - {"cli", "samples", "report"},
    "samples": {"files"},
    "cli": set(ROOMS) - {"cli"},
}

ENGINE_NEEDS = {"numpy", "numba", "scipy", "gridpart", *sys.stdlib_module_names}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_name(path: Path) -> str:
    """`contiguity` for gridpart/contiguity.py, `engine` for all below gridpart/engine."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def room_of(module: str) -> str:
    for room, members in ROOMS.items():
        if module in members:
            return room
    raise AssertionError(
        f"gridpart/{module} belongs to no room: enter it in ROOMS in tests/test_imports.py and in "
        "docs/architecture.md"
    )


def imported(path: Path) -> Iterator[str]:
    """Full names of what a module imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} line {node.lineno}: import by the full name"
            assert node.module is not None
            if node.module == "gridpart":
                yield from (f"gridpart.{alias.name}" for alias in node.names)
            else:
                yield node.module


def own_module(name: str) -> str | None:
    """Module of gridpart that an imported name means, or None for somebody else's."""
    top, _, rest = name.partition(".")
    if top != "gridpart" or not rest:
        return None
    first = rest.split(".")[0]
    if first == "__version__":
        return "_version"
    return gridpart._ROOMS.get(first, first)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows(path: Path):
    room = room_of(module_name(path))
    allowed = ARROWS[room] | {room, "errors"}
    for name in imported(path):
        module = own_module(name)
        if module is not None:
            assert room_of(module) in allowed, (
                f"{path.name} is in the room {room!r} and may not import {name}"
            )
        elif name == "gridpart":
            assert room == "cli", f"{path.name} imports the whole package"


def test_rooms_are_complete_and_in_one_direction():
    assert set(ARROWS) == set(ROOMS)
    order = list(TopologicalSorter(ARROWS).static_order())  # raises on a circle
    assert order.index("contiguity") < order.index("partition") < order.index("cli")


def test_public_names_live_in_known_rooms():
    for name, module in gridpart._ROOMS.items():
        assert room_of(module), name


@pytest.mark.parametrize("path", sorted((PACKAGE / "engine").glob("*.py")), ids=lambda p: p.name)
def test_engine_knows_arrays_only(path: Path):
    for name in imported(path):
        assert name.split(".")[0] in ENGINE_NEEDS, f"{path.name} imports {name}"


def test_kernels_are_compiled_in_one_module():
    """A kernel cache does not notice that another module changed."""
    compiling = [
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if any(name.split(".")[0] == "numba" for name in imported(path))
    ]
    assert compiling == ["engine/kernels.py"]


def test_import_is_light():
    heavy = (
        "matplotlib", "numba", "geopandas", "pandas", "scipy", "shapely", "rich", "sqlalchemy"
    )  # fmt: skip
    code = f"import sys, gridpart; print(*[m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_checking_codes_needs_no_database():
    code = "import sys, gridpart.codes, gridpart.coverage; print('sqlalchemy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_data_rooms_need_no_plotting():
    code = "import sys, gridpart.plan, gridpart.units; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def stub_names() -> set[str]:
    tree = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names - {"__all__"}


def test_type_stub_has_the_public_names():
    assert stub_names() == set(gridpart.__all__)


def test_public_names_load():
    for name in gridpart.__all__:
        assert getattr(gridpart, name) is not None
    assert set(gridpart.__all__) <= set(dir(gridpart))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = gridpart.nothing


def test_every_test_setting_has_its_lowest_version(project_root):
    """constraints-lowest.txt pins exactly the bounds of pyproject.toml."""
    import tomllib

    project = tomllib.loads((project_root / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra, needs in project["optional-dependencies"].items():
        if extra not in ("dev", "bench"):  # neither is for users: tools, and the peers
            wanted += [need for need in needs if not need.startswith("gridpart[")]
    pairs = (need.split(">=") for need in wanted)
    bounds = {name.lower().partition("[")[0]: low for name, low in pairs}
    lines = (project_root / "constraints-lowest.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if "==" in line)

    def normal(version: str) -> str:
        return version.removesuffix(".0").removesuffix(".0")

    assert {name: normal(low) for name, low in pins.items()} == {
        name: normal(low) for name, low in bounds.items()
    }


def test_constraints_name_packages_only(project_root):
    for line in (project_root / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            assert name.replace("-", "").replace("_", "").replace(".", "").isalnum()
            assert version[0].isdigit()
