"""One break: the run is started, broken, resumed and checked."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.harness import checks, processes
from tests.faults.harness.fault import Fault, Lasts
from tests.faults.harness.faults import every
from tests.faults.harness.result import Break, Result
from tests.faults.harness.scene import Scene
from tests.faults.harness.victim import Victim

END_S = 60.0
"""A broken run must have ended by then, or have gone on."""
TERM_S = 10.0
"""One that is asked to end (SIGTERM) must have ended by then."""
RECOVERY_S = 60.0
"""The next row must be stored by then, once the cause is gone."""
_ORPHANS_S = 10.0
_COMES_S = 240.0
_BEFORE, _AFTER = 0.1, 0.06
_DRAWS = 6
_RESUMES = 4
_BAD_WORDS = ("Traceback", "evalkit itself failed", "never retrieved", "Exception ignored", "never awaited")
_LOG_CHARS = 3000


class Undisturbed(NamedTuple):
    """A run that nothing disturbed, for comparison.

    Attributes:
        rows: see `checks.Found`.
        summary: likewise.
        start_s: until its first row was stored.
        tail_s: from its last row to its end.
    """

    rows: dict[str, str]
    summary: object
    start_s: float
    tail_s: float


class Setting(NamedTuple):
    """What all breaks have in common.

    Attributes:
        boards: of the run, four samples each.
        scratch: folder for the runs.
        undisturbed: by whether the model is behind a server.
    """

    boards: int
    scratch: Path
    undisturbed: dict[bool, Undisturbed]


def undisturbed(boards: int, served: bool, scratch: Path) -> Undisturbed:
    """Run it once in peace.

    Raises:
        RuntimeError: it does not even come through then.
    """
    work = Path(tempfile.mkdtemp(prefix="undisturbed-", dir=scratch))
    scene = Scene(work, boards, served, random.Random(0))
    try:
        victim = scene.start()
        victim.until(lambda: victim.rows.look() > 0, END_S)
        start_s = time.monotonic() - victim.began
        victim.until(lambda: victim.rows.look() >= len(scene.expected), END_S)
        last = time.monotonic()
        code = victim.end(END_S)
        tail_s = time.monotonic() - last
        found = checks.found(scene.run)
        if code != 0 or found.errors or sorted(found.good) != sorted(scene.expected):
            raise RuntimeError(f"the undisturbed run ended with {code}:\n{victim.words.read_text()[-_LOG_CHARS:]}")
        return Undisturbed(found.rows, found.summary, start_s, tail_s)
    finally:
        scene.close()
        shutil.rmtree(work, ignore_errors=True)


def make_break(due: Break, setting: Setting) -> Result:
    """Make one break; where a run was through before it could be broken, draw anew."""
    for draw in range(_DRAWS):
        result = _Breaking(due, setting, random.Random(f"{due.seed}/{draw}")).result()
        if not result.missed:
            break
    return result


class _Breaking:
    def __init__(self, due: Break, setting: Setting, rng: random.Random) -> None:
        self.due, self.setting, self.rng = due, setting, rng
        self.fault: Fault = next(fault for fault in every() if fault.name == due.fault)
        low, high = (-_BEFORE, 1 + _AFTER) if self.fault.anytime else (0.0, 0.95)
        self.moment = rng.uniform(low, high)
        self.calm = setting.undisturbed[self.fault.served]
        self.problems: list[str] = []
        self.exits: list[int] = []
        self.recovery_s = 0.0

    def result(self) -> Result:
        """From its start to the last check."""
        began = time.monotonic()
        work = Path(tempfile.mkdtemp(prefix=f"break-{self.due.number}-", dir=self.setting.scratch))
        scene = Scene(work, self.setting.boards, self.fault.served, self.rng)
        drawn, before, lost, duplicated, errors, log = None, 0, 0, 0, 0, ""
        try:
            self.fault.prepare(scene)
            victim = scene.start()
            self.wait_for_moment(scene, victim)
            drawn = self.fault.strike(scene) if victim.lives else None
            if drawn is None:
                if (code := victim.end(END_S)) != 0:
                    self.problems.append(f"it ended with {code} before it was broken")
            else:
                stored = checks.prefix(scene.run)
                before = stored.count(b"\n")
                self.after(scene, victim)
                self.resume(scene, before)
                lost, duplicated, errors = self.check(scene, stored)
            log = (work / "words.log").read_text(errors="replace")
        except Exception as error:
            # one break that could not be made must not end the others
            self.problems.append(f"the harness itself failed: {type(error).__name__}: {error}")
        finally:
            scene.close()
            processes.orphans(scene.helpers, 0)
            shutil.rmtree(work, ignore_errors=True)
        return Result(
            number=self.due.number,
            fault=self.due.fault,
            seed=self.due.seed,
            moment=round(self.moment, 4),
            drawn=drawn or "",
            rows_before=before,
            exits=tuple(self.exits),
            lost=lost,
            duplicated=duplicated,
            errors=errors,
            recovery_s=round(self.recovery_s, 2),
            seconds=round(time.monotonic() - began, 2),
            problems=tuple(self.problems),
            missed=drawn is None and not self.problems,
            log=f"{log[:_LOG_CHARS]}\n[...]\n{log[-_LOG_CHARS:]}" if self.problems else "",
        )

    def wait_for_moment(self, scene: Scene, victim: Victim) -> None:
        """A share of the start-up, of the rows, or of what comes after them."""
        if self.moment < 0:
            time.sleep((1 + self.moment / _BEFORE) * self.calm.start_s)
            return
        rows = min(int(self.moment * len(scene.expected)), len(scene.expected))
        victim.until(lambda: victim.rows.look() >= rows, _COMES_S)
        if self.moment > 1:
            time.sleep((self.moment - 1) / _AFTER * self.calm.tail_s)
        else:
            # not always just when a row has been written
            time.sleep(self.rng.uniform(0, 0.01))

    def after(self, scene: Scene, victim: Victim) -> None:
        """The end of the cause and of the run, or its going on."""
        if self.fault.lasts is Lasts.WHILE:
            time.sleep(self.rng.uniform(0.05, self.fault.most_s))
            self.fault.mend(scene)
        well, rows = time.monotonic(), victim.rows.look()
        if victim.until(lambda: victim.rows.look() > rows, END_S):
            self.recovery_s = time.monotonic() - well
        self.ended(scene, victim, self.fault.exits)
        if self.fault.lasts is Lasts.STAYS:
            if self.exits[-1] != 0:
                self.still_broken(scene)
            self.fault.mend(scene)

    def ended(self, scene: Scene, victim: Victim, allowed: frozenset[int]) -> None:
        """Its exit code, in time; and nothing that is left of it."""
        asked = time.monotonic()
        code = victim.end(END_S)
        self.exits.append(-9 if code is None else code)
        if code is None:
            self.problems.append(f"it had not ended after {END_S:g} s")
        elif code not in allowed:
            self.problems.append(f"exit code {code}")
        elif code == 143 and time.monotonic() - asked > TERM_S:
            self.problems.append(f"it took {time.monotonic() - asked:.1f} s to end")
        if left := processes.orphans(scene.helpers, _ORPHANS_S):
            self.problems.append(f"orphans: {'; '.join(left)}")

    def still_broken(self, scene: Scene) -> None:
        """Started again before the cause is gone, it says so in one line and touches nothing."""
        said = (scene.work / "words.log").stat().st_size
        stored = checks.prefix(scene.run)
        self.ended(scene, scene.start(), frozenset({0, 3}))
        words = (scene.work / "words.log").read_bytes()[said:].decode(errors="replace")
        lines = sum(line.startswith("error: ") for line in words.splitlines())
        if self.exits[-1] != 0 and lines != 1:
            self.problems.append(f"{lines} lines of error while the cause is still there")
        if not checks.prefix(scene.run).startswith(stored):
            self.problems.append("a start while the cause was still there took rows away")

    def resume(self, scene: Scene, before: int) -> None:
        """The same command, until all is well; more than once only where rows were errors."""
        for tried in range(_RESUMES):
            victim = scene.start()
            rows = victim.rows.count
            went = victim.until(lambda: victim.rows.look() > rows, END_S)  # noqa: B023
            seconds = time.monotonic() - victim.began
            self.ended(scene, victim, frozenset({0, 3}))
            if tried == 0 and self.exits[0] != 0:
                self.recovery_s = seconds if went else time.monotonic() - victim.began
            if self.exits[-1] == 0 and not self.missing(scene):
                break
        else:
            self.problems.append(f"not through after {_RESUMES} resumes")
        if self.recovery_s > RECOVERY_S:
            self.problems.append(f"recovery took {self.recovery_s:.0f} s")

    def missing(self, scene: Scene) -> bool:
        found = checks.found(scene.run)
        return any(id not in found.good for id in scene.expected)

    def check(self, scene: Scene, stored: bytes) -> tuple[int, int, int]:
        """Rows lost, duplicated, and errors on the way; every other finding becomes a problem."""
        found, calm = checks.found(scene.run), self.calm
        alike = self.fault.alike(scene)
        lost = [id for id in scene.expected if id not in found.good]
        foreign = sorted(found.rows.keys() - set(scene.expected))
        if foreign:
            self.problems.append(f"rows of nobody: {foreign[:3]}")
        changed = [id for id in calm.rows if id in found.good and id not in alike and found.rows[id] != calm.rows[id]]
        if changed:
            self.problems.append(f"{len(changed)} rows differ from the undisturbed run's: {changed[:3]}")
        gone = 0
        if not (scene.run / "samples.jsonl").read_bytes().startswith(stored):
            kept = set((scene.run / "samples.jsonl").read_bytes().split(b"\n"))
            gone = sum(line not in kept for line in stored.split(b"\n"))
            self.problems.append(f"{gone} lines that were stored are not as they were")
        if told := checks.difference(found.summary, calm.summary):
            self.problems.append(f"figures differ: {told}")
        if found.torn:
            self.problems.append(f"{found.torn} torn bytes or lines")
        if found.images:
            self.problems.append(f"{len(found.images)} images are missing")
        if found.others:
            self.problems.append(f"left in the run's folder: {', '.join(found.others)}")
        if left := sorted(path.name for path in (scene.work / "tmp").iterdir()):
            self.problems.append(f"left in the folder for temporary files: {', '.join(left)[:200]}")
        words = (scene.work / "words.log").read_text(errors="replace")
        said = [line for line in words.splitlines() if any(word in line for word in _BAD_WORDS)]
        if said:
            self.problems.append(f"it said: {said[0][:300]}")
        return len(lost) + gone, sum(count > 1 for count in found.good.values()), found.errors
