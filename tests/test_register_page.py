"""docs/codes.md: every block runs as printed, and says what it prints."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

from gridpart.cli import main
from gridpart.codes import load_scheme, open_register
from gridpart.codes.reading import KEYS, LEVEL_KEYS, SEGMENT_KEYS

COMMUNITIES = ("429999001001", "429999001002", "429999001003", "429999100200", "429999100201")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "codes.md"
CODING = "code plan.gpkg -o again.gpkg --parent-col community --register codes.sqlite"


def blocks() -> list[tuple[str, str]]:
    return re.findall(r"^```(toml|python|bash)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)


def said(value: object, told: str) -> bool:
    """Whether a value is what a comment says; ... stands for anything."""
    pattern = ".*".join(map(re.escape, told.split("...")))
    return re.fullmatch(pattern, repr(value)) is not None


def run_python(text: str, names: dict[str, object]) -> int:
    """Run a block, and hold every expression against the comment behind it; how many there were."""
    lines, held = text.splitlines(), 0
    for node in ast.parse(text).body:
        source = ast.get_source_segment(text, node)
        if not isinstance(node, ast.Expr):
            exec(compile(source, str(PAGE), "exec"), names)
            continue
        value = eval(compile(source, str(PAGE), "eval"), names)
        comment = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().strip()
        if comment.startswith("# "):
            assert said(value, comment.removeprefix("# ")), (source, value)
            held += 1
    return held


def test_the_page_on_codes_runs_as_printed(tmp_path, monkeypatch, capsys):
    """Every block, in the order of the page, in one folder."""
    monkeypatch.chdir(tmp_path)
    streets = {code[:9] for code in COMMUNITIES}
    divisions = "code\n" + "".join(f"{code}\n" for code in sorted({*streets, *COMMUNITIES}))
    Path("divisions.csv").write_text(divisions, encoding="utf-8")
    names: dict[str, object] = {}
    held = commands = 0
    for kind, text in blocks():
        if kind == "toml":
            first = text.splitlines()[0]
            file = Path(re.match(r"# ([\w-]+\.toml)", first)[1])
            file.write_text(text, encoding="utf-8")
            assert load_scheme(file).name
        elif kind == "python":
            held += run_python(text, names)
        else:
            for line in text.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "gridpart"
                assert main(arguments) == 0, (line, capsys.readouterr().err)
                commands += 1
    assert held >= 20
    assert commands >= 12
    out = capsys.readouterr().out
    assert "issued        2025-05-01T00:00:00Z: plan of 2025" in out
    assert "115 codes issued in codes.sqlite, 0 kept" in out  # of grids and of micro-grids
    assert "no faults" in out
    with open_register("codes.sqlite") as register:
        before = register.codes()
    assert main(shlex.split(CODING)) == 2
    told = capsys.readouterr().err
    assert "live codes already stand for the ground of new grids" in told
    with open_register("codes.sqlite") as register:
        assert len(register.codes()) == len(before)


def test_the_page_has_every_key_of_a_scheme():
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`\[*(\w+)\]*`", row.split("|")[1])}
    assert {*KEYS, *SEGMENT_KEYS, *LEVEL_KEYS, "extends"} <= named
