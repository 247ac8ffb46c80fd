"""Every kind of fault, put into clean plans at random and looked for by the audit.

    python benchmarks/faults.py [--singles 30] [--rounds 3] [--seed 1] [--data DIR] [--only CHECK]

Clean plans are generated towns, divided and coded by gridpart, and Porto's census sections. Each
injector of ``tests/faults`` puts one fault at a time into a small town (``--singles`` of them for
each input it applies to), and then as many at once as do not touch each other into a larger town
and into Porto (``--rounds`` of them). A fault counts as found if there is a finding of its check;
the right id is exactly the zones and units concerned; the right place differs from what was put in
by at most the tolerance (1 mm) along the outline. False alarms are findings that nothing that was
put in explains, on faulty and on clean plans. The exit code is 1 if any fault is missed or
misplaced, anything it implies is not found, or anything else is.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from faults import (  # noqa: E402 (the injectors are those of the tests)
    INJECTORS,
    Case,
    Injector,
    Place,
    Verdict,
    cases_of,
    inject,
    judge,
    porto_place,
    town_place,
)  # fmt: skip

from gridpart.coverage import CATALOGUE  # noqa: E402

PORTO = "porto_bgri2021/porto_bgri2021.gpkg"
SHOWN = 4  # of each check
HEAD = ("check", "injected", "found", "right id", "right place", "false alarms", "smallest")


@dataclass
class Tally:
    """Counts of one check."""

    injected: int = 0
    found: int = 0
    right_ids: int = 0
    right_place: int = 0
    alarms: int = 0
    least: dict[str, float] = field(default_factory=dict)

    def add(self, verdict: Verdict) -> None:
        self.injected += 1
        self.found += verdict.found
        self.right_ids += verdict.right_ids
        self.right_place += verdict.right_place
        fault = verdict.fault
        if fault.size is not None:
            self.least[fault.unit] = min(self.least.get(fault.unit, np.inf), fault.size)

    @property
    def smallest(self) -> str:
        texts = [_text(size, unit) for unit, size in sorted(self.least.items())]
        return ", ".join(texts) or "-"


def _text(size: float, unit: str) -> str:
    if unit == "m":
        return f"{size * 1000:.3g} mm"
    if unit.startswith("of "):
        return f"{size:.1%} {unit}"
    return f"{size:.3g} m²" if unit == "m2" else f"{size:.0f} {unit}"


class Bench:
    """Puts faults in, judges, and keeps the counts."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.tally: dict[str, Tally] = defaultdict(Tally)
        self.wrong: dict[str, list[str]] = defaultdict(list)
        self.audits = 0

    def clean(self, case: Case) -> None:
        """A clean plan shows true notes only."""
        findings = case.audit()
        self.audits += 1
        for row in findings[findings["severity"] != "note"].itertuples():
            self.tally[row.check].alarms += row.n
            self.wrong[row.check].append(
                f"clean {case.place.name}, {case.name}: {row.check} {row.message}"
            )

    def run(self, case: Case, kinds: list[Injector], most: int) -> int:
        faulty, expected, changed = inject(case, kinds, self.random, most=most)
        if not expected:
            return 0
        verdicts, alarms = judge(faulty, faulty.audit(), case.audited, expected, changed)
        self.audits += 1
        where = f"{case.place.name}, {case.name}"
        for verdict in verdicts:
            fault = verdict.fault
            self.tally[fault.check].add(verdict)
            if not verdict.good:
                implied = [(other.check, sorted(other.ids)) for other in verdict.implied]
                self.wrong[fault.check].append(
                    f"{where}: {fault.check} {sorted(fault.ids)} {fault.size} {fault.unit}: "
                    f"found {verdict.found}, id {verdict.right_ids}, "
                    f"place {verdict.right_place}, not implied {implied[:5]}"
                )
        for alarm in alarms:
            check = alarm.split()[0]
            self.tally[check].alarms += 1
            self.wrong[check].append(f"{where}: false alarm: {alarm}")
        return len(expected)

    def table(self) -> str:
        rows = [
            (name, f"{t.injected:,}", f"{t.found:,}", f"{t.right_ids:,}", f"{t.right_place:,}",
             f"{t.alarms:,}", t.smallest)
            for name in CATALOGUE
            for t in [self.tally[name]]
        ]  # fmt: skip
        counts = ("injected", "found", "right_ids", "right_place", "alarms")
        sums = [sum(getattr(t, name) for t in self.tally.values()) for name in counts]
        rows.append(("all", *(f"{n:,}" for n in sums), ""))
        wide = [max(len(row[k]) for row in (HEAD, *rows)) for k in range(len(HEAD))]
        lines = [_line(row, wide) for row in (HEAD, *rows)]
        rule = "|".join(
            "-" * (w + 2) if k in (0, len(HEAD) - 1) else "-" * (w + 1) + ":"
            for k, w in enumerate(wide)
        )
        return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def _line(row: tuple[str, ...], wide: list[int]) -> str:
    cells = [
        text.ljust(w) if k in (0, len(row) - 1) else text.rjust(w)
        for k, (text, w) in enumerate(zip(row, wide, strict=True))
    ]
    return "| " + " | ".join(cells) + " |"


def small_places(seed: int) -> list[Place]:
    return [town_place(400 + 50 * k, 10 * seed + k) for k in range(4)]


def large_places(seed: int, data: Path) -> list[Place]:
    places = [town_place(2500, seed)]
    if (data / PORTO).exists():
        places.append(porto_place(data / PORTO))
    else:
        print(f"without Porto: no {data / PORTO}")
    return places


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--singles", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", help="one check")
    options = parser.parse_args()
    start = time.perf_counter()
    bench = Bench(options.seed)
    chosen = [kind for kind in INJECTORS if options.only in (None, kind.check)]
    places = small_places(options.seed)
    cases = [cases_of(place) for place in places]
    for few in cases:
        for case in few.values():
            bench.clean(case)
    single = 0
    for kind in chosen:
        for name in kind.cases:
            for k in range(options.singles):
                single += bench.run(cases[k % len(cases)][name], [kind], 1)
    many = 0
    large = large_places(options.seed, options.data)
    for place in large:
        for name, case in cases_of(place).items():
            kinds = [kind for kind in chosen if name in kind.cases and not kind.alone]
            bench.clean(case)
            for _ in range(options.rounds if kinds else 0):
                many += bench.run(case, kinds, 10_000)
    print(bench.table())
    seconds = time.perf_counter() - start
    names = "; ".join(f"{p.name}: {len(p.zones)} zones" for p in (*places, *large))
    print(f"\n{single:,} faults singly, {many:,} many at once, {bench.audits:,} audits, "
          f"{seconds:.0f} s; {names}")  # fmt: skip
    without = sorted(set(CATALOGUE) - {kind.check for kind in INJECTORS})
    if without:
        print(f"checks without an injector: {', '.join(without)}")
    for check, texts in bench.wrong.items():
        print(f"{check}: {len(texts)} wrong")
        print("\n".join(f"    {text[:400]}" for text in texts[:SHOWN]))
    return int(bool(bench.wrong) or bool(without))


if __name__ == "__main__":
    raise SystemExit(main())
