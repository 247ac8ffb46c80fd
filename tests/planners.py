"""Planners at work on one register at once, some of whom are shot: what is left must be whole.

``python tests/planners.py WHERE FOLDER SECONDS PROCESSES SEED`` forks the planners, kills one with
SIGKILL every few hundred milliseconds and puts another in its place. Every planner writes a
journal in FOLDER: a line before a change and a line with what it was told after it. At the end
the register is held against the journals, and the counts are printed as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

from shapely import Polygon, box

import gridpart as gp
from gridpart.codes import KeptGrid, NewGrid, Register, open_register

PARENTS_AT_ONCE = 4  # communities that all planners work in at a time
PARENT_SECONDS = 4.0  # how long
REREAD = 25  # changes after which a planner looks at the register again
KILL_SECONDS = (0.05, 0.4)
VERBS = ["issue", "issue", "split", "split", "merge", "retire", "redraw", "code", "code"]
PLACES = 1_000_000  # of 20 m, in a row: where nobody else draws, but for a hair
SAME_PLACES = 12  # where all want to draw, under whatever parent


def parent_at(moment: float, chosen: random.Random) -> str:
    """A community that is being worked in now; over time others, for serials end at 999."""
    block = int(moment / PARENT_SECONDS) % 200
    return f"4205830010{(block * PARENTS_AT_ONCE + chosen.randrange(PARENTS_AT_ONCE)) % 90 + 10}"


# --------------------------------------------------------------------------- a planner


def plan_forever(where: str, journal: Path, seed: int, stop: float) -> NoReturn:
    """Change the register until the time is over, or until shot."""
    chosen = random.Random(seed)
    with journal.open("a", encoding="utf-8") as notes, open_register(where) as register:
        known: list[str] = []
        number = 0
        while time.time() < stop:
            if number % REREAD == 0:
                known = register.codes(live=True)["code"].tolist()[-60:]
            number += 1
            name = chosen.choice(VERBS)
            _note(notes, {"does": name})
            try:
                said = _change(name, register, known, chosen)
            except gp.InputError as error:
                said = {"refused": sorted({problem.kind for problem in error.problems})}
            _note(notes, {"did": name, **said})
            known += said.get("issued", [])
            known = [code for code in known if code not in said.get("retired", [])]
    os._exit(0)


def _note(notes: Any, facts: dict[str, Any]) -> None:
    # the kernel has the line when write returns, so a kill does not lose it
    notes.write(json.dumps(facts) + "\n")
    notes.flush()


def _change(
    name: str, register: Register, known: list[str], chosen: random.Random
) -> dict[str, Any]:
    parent = parent_at(time.time(), chosen)
    some = chosen.sample(known, min(len(known), 3))
    if name == "issue" or len(some) < 2:
        return {"issued": register.issue(parent, chosen.randint(1, 3))}
    if name == "split":
        west = _place(chosen)
        parts = [box(west, 0, west + 5, 10), box(west + 5, 0, west + 10, 10)]
        return {"issued": register.split(some[0], parts, crs=4547), "retired": some[:1]}
    if name == "merge":
        merged = register.merge(some, parent=parent, kind="base")
        return {"issued": [merged], "retired": some}
    if name == "retire":
        register.retire(some[:1], "cleared")
        return {"issued": [], "retired": some[:1]}
    if name == "code":
        # a plan that others may be coding too; some of its ground may be live already
        west = -20 * chosen.randrange(1, SAME_PLACES)
        again = [NewGrid("again", parent, households=10, shape=box(west, 0, west + 10, 10))]
        with register.changing(again, reason="coded", crs=4547) as issued:
            time.sleep(chosen.choice([0, 0, 0.02]))
        return {"issued": list(issued.values())}
    west = _place(chosen)
    new = [
        NewGrid(key, parent, households=10, shape=_square(west + key), predecessors=(some[0],))
        for key in range(2)
    ]
    kept = {some[1]: KeptGrid(households=20, shape=_square(west + 2), predecessors=(some[0],))}
    with register.changing(new, some[:1], kept, reason="redrawn", crs=4547) as issued:
        time.sleep(chosen.choice([0, 0, 0, 0.02]))  # as long as a file takes to be written
    return {"issued": list(issued.values()), "retired": some[:1]}


def _place(chosen: random.Random) -> int:
    return 20 * chosen.randrange(PLACES)


def _square(west: float) -> Polygon:
    return box(west, 0, west + 1, 1)


# --------------------------------------------------------------------------- all of them


def work(where: str, folder: Path, seconds: float, processes: int, seed: int) -> dict[str, Any]:
    """Let planners work, shoot some, and count."""
    chosen = random.Random(seed)
    open_register(where, create=True).close()
    stop = time.time() + seconds
    at_work: list[int] = []
    started = kills = 0
    while time.time() < stop:
        while len(at_work) < processes:
            started += 1
            at_work.append(_hire(where, folder / f"{started}.jsonl", seed + started, stop))
        time.sleep(chosen.uniform(*KILL_SECONDS))
        shot = chosen.choice(at_work)
        os.kill(shot, signal.SIGKILL)
        _, status = os.waitpid(shot, 0)
        kills += os.WIFSIGNALED(status)
        at_work.remove(shot)
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in at_work)
    return {"planners": started, "kills": kills, "failed": failed, **count(where, folder)}


def _hire(where: str, journal: Path, seed: int, stop: float) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            plan_forever(where, journal, seed, stop)
        finally:
            # only an error gets here; the parent's own cleaning up is not this process's
            traceback.print_exception(sys.exception())
            os._exit(1)
    return pid


def count(where: str, folder: Path) -> dict[str, Any]:
    """Hold the register against the journals."""
    notes = [json.loads(line) for path in folder.glob("*.jsonl") for line in _lines(path)]
    done = [note for note in notes if "did" in note]
    well = [note for note in done if "refused" not in note]
    told = Counter(code for note in well for code in note["issued"])
    with open_register(where) as register:
        codes = register.codes().set_index("code")
        faults = register.verify()
        changes = register.changes()
    lost = [code for code in told if code not in codes.index]
    lively = [
        code for note in well for code in note.get("retired", [])
        if code in codes.index and codes.loc[code, "state"] != "retired"
    ]  # fmt: skip
    unlinked = [
        (old, new)
        for note in well if note["did"] in ("split", "merge", "redraw") and note.get("retired")
        for old in note["retired"] for new in note["issued"]
        if new not in codes.loc[old, "successors"] or old not in codes.loc[new, "predecessors"]
    ]  # fmt: skip
    refusals = Counter(kind for note in done for kind in note.get("refused", []))
    by_two = sum(number > 1 for number in Counter(_retirements(well)).values())
    return {
        "changes": len(changes),
        "acknowledged": len(well),
        "refused": dict(sorted(refusals.items())),
        "in flight when killed": sum("does" in note for note in notes) - len(done),
        "codes": len(codes),
        "live": int((codes["state"] == "live").sum()),
        "violations": {
            "issued twice": sum(number > 1 for number in told.values()),
            "retired twice": by_two,
            "acknowledged but lost": len(lost),
            "retired but live": len(lively),
            "gaps in the lineage": len(unlinked) + int((faults["check"] == "lineage").sum()),
            "half-written": int((faults["check"] == "half").sum()),
            "two live codes on one ground": int((faults["check"] == "overlap").sum()),
            "other": int((~faults["check"].isin(["lineage", "half", "overlap"])).sum()),
        },
    }


def _retirements(well: list[dict[str, Any]]) -> list[str]:
    return [code for note in well for code in note.get("retired", [])]


def _lines(path: Path) -> list[str]:
    """Whole lines of a journal."""
    return [line for line in path.read_text(encoding="utf-8").split("\n")[:-1] if line]


if __name__ == "__main__":
    _where, _folder, _seconds, _processes, _seed = sys.argv[1:]
    print(json.dumps(work(_where, Path(_folder), float(_seconds), int(_processes), int(_seed))))
