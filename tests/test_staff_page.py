"""docs/staff.md: every block runs as printed, and every sheet and option it names is there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import openpyxl

import gridpart as gp
from gridpart.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "staff.md").read_text("utf-8")


def test_the_page_on_staff_runs_as_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "data" / "samples", tmp_path / "data" / "samples")
    ran = 0
    for kind, text in re.findall(r"^```(sh|python|text)\n(.*?)^```$", PAGE, re.M | re.S):
        if kind == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                program, *arguments = shlex.split(line)
                assert program == "gridpart"
                assert main(arguments) == 0, (line, capsys.readouterr().err)
                ran += 1
        elif kind == "python":
            names = {}
            exec(compile(text, "docs/staff.md", "exec"), names)
            assert not names["staffing"].summary["gap"].any()
            assert len(names["change"].steps) == 2
        else:
            printed = capsys.readouterr().out
            assert all(line in printed for line in text.splitlines()), printed
    assert ran >= 6
    sheets = openpyxl.load_workbook(tmp_path / "staff.xlsx").sheetnames
    always = {"summary", "by_post", "assignment", "vacancies", "by_grid", "required", "workload"}
    assert always <= set(sheets)
    assert all(f"`{name}`" in PAGE for name in always)


def test_lorenz_curves_are_drawn_with_their_gini():
    loads = {"今天": gp.lorenz([100, 300, 500]), "明天": gp.lorenz([300, 300, 300])}
    ax = gp.plot_lorenz(loads, title="网格长的工作量")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "今天: Gini 0.30",
        "明天: Gini 0.00",
    ]
    first = ax.lines[1]
    assert first.get_ydata().tolist() == loads["今天"]["load"].tolist()
    plt.close(ax.figure)
