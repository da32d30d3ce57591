"""Hooks watch a run: they are told of all of it in order, and one that fails costs nothing but its own log."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import evalkit
from evalkit.errors import EvalkitError
from evalkit.hooks import BUILT_IN, Hook, Hooks, open_hooks
from evalkit.hooks.figures import SoFar, figures_of, settings_of
from evalkit.records import Verdict
from evalkit.secrets import without_secrets
from tests.conftest import Cli
from tests.run_folders import row, write_run

TASK = """
from evalkit import Sample, Task
from evalkit.scoring import score_choice

class Fruit(Task):
    name = "fruit"
    def samples(self):
        for i in range(6):
            yield Sample(id=f"f{i}", question="Which?", answer="A", choices={"A": "apple", "B": "pear"})
    def score(self, sample, response):
        return score_choice(response, sample.choices, sample.answer, "fruit/1")
"""


class Watch(Hook):
    """Keeps what it is told, and in which thread."""

    name = "watch"

    def __init__(self, fails: tuple[str, ...] = ()) -> None:
        self.told: list[tuple[str, object]] = []
        self.threads: set[str] = set()
        self._fails = fails

    def _tell(self, what: str, about: object) -> None:
        self.told.append((what, about))
        self.threads.add(threading.current_thread().name)
        if what in self._fails:
            raise RuntimeError("no room at http://user:hunter2@host/x")

    def on_run_start(self, info: Any, folder: Path) -> None:
        self._tell("start", folder.name)

    def on_sample_end(self, record: Any) -> None:
        self._tell("sample", record.sample.id)

    def on_run_end(self, summary: Any, folder: Path) -> None:
        self._tell("end", summary.accuracy.count)

    def close(self) -> None:
        self._tell("close", None)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task and a script, to work in."""
    (tmp_path / "fruit").mkdir()
    (tmp_path / "fruit" / "task.py").write_text(TASK)
    (tmp_path / "say.json").write_text(json.dumps({"default": ["<answer>A</answer>"], "samples": {"f0": ["dunno"]}}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(**options: Any) -> list[evalkit.Run]:
    return evalkit.run(
        tasks="fruit", task_dir="fruit", engine="scripted", script="say.json", protocol="direct", **options
    )


def test_a_hook_is_told_of_start_samples_end_and_close_in_this_order_and_in_one_thread(place: Path) -> None:
    watch = Watch()
    [made] = run(hooks=[watch])
    assert [what for what, _ in watch.told] == ["start", *["sample"] * 6, "end", "close"]
    assert {about for what, about in watch.told if what == "sample"} == {f"f{i}" for i in range(6)}
    assert watch.told[0] == ("start", made.folder.name)
    assert watch.told[-2] == ("end", 5)
    assert len(watch.threads) == 1
    assert watch.threads != {threading.current_thread().name}


def test_what_a_run_has_already_is_not_told_again(place: Path) -> None:
    run()
    watch = Watch()
    run(hooks=[watch])
    assert [what for what, _ in watch.told] == ["start", "end", "close"]


def test_a_run_that_ctrl_c_stops_is_broken_off_for_its_hooks_and_not_through(
    place: Path, cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    # one that goes on in another process: a signal of its own
    (place / "fruit" / "task.py").write_text(
        TASK.replace("        return score", "        import os, signal\n        os.kill(os.getpid(), signal.SIGINT)\n"
                     "        return score")
    )  # fmt: skip
    watch = Watch()
    with pytest.raises(KeyboardInterrupt, match="goes on"):
        run(hooks=[watch], concurrency=1)
    what = [what for what, _ in watch.told]
    assert (what[0], what[-1]) == ("start", "close")
    assert "end" not in what


def test_a_hook_that_hangs_is_left_behind_and_costs_no_record(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalkit.hooks.hooks.PATIENCE_S", 0.2)
    free, good = threading.Event(), Watch()

    class Hangs(Hook):
        name = "hangs"

        def on_sample_end(self, record: Any) -> None:
            assert free.wait(60)

    [made] = run(hooks=[Hangs(), good])
    free.set()
    assert made.code == 0
    assert len(made.records) == 6
    # the other one has all, and what hangs is said
    assert [what for what, _ in good.told] == ["start", *["sample"] * 6, "end", "close"]
    said = capsys.readouterr().err
    assert said.count("note: hangs was not waited for any longer, with 7 calls to go") == 1


def test_a_process_ends_though_a_hook_hangs(place: Path) -> None:
    code = """
import evalkit.hooks.hooks, threading
evalkit.hooks.hooks.PATIENCE_S = 0.2
class Hangs:
    def on_run_start(self, info, folder): threading.Event().wait()
evalkit.run(tasks="fruit", task_dir="fruit", engine="scripted", script="say.json", protocol="direct", hooks=[Hangs()])
print("through")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "through" in done.stdout


async def test_the_wait_for_a_hook_is_said_and_ctrl_c_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.hooks.hooks.SAID_AFTER_S", 0.0)
    free = threading.Event()
    said: list[str] = []
    presses = iter([0, 0, 0, 1])

    class Hangs(Hook):
        def on_sample_end(self, record: Any) -> None:
            assert free.wait(60)

    async with Hooks([Hangs()], said.append, lambda: next(presses, 1)) as hooks:
        hooks.sample(row(1))
        await hooks.told()
        assert said[0] == "waiting for hook, 1 call to go; Ctrl-C ends the wait"
        assert said[1].startswith("note: hook was not waited for any longer, with 1 call to go")
        free.set()


async def test_records_wait_for_a_slow_hook_within_bounds_and_those_left_out_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("evalkit.hooks.teller.BACKLOG", 20_000)
    free = threading.Event()
    told: list[str] = []
    said: list[str] = []

    class Slow(Hook):
        def on_sample_end(self, record: Any) -> None:
            assert free.wait(60)
            told.append(record.sample.id)

    async with Hooks([Slow()], said.append) as hooks:
        for i in range(100):
            hooks.sample(row(i, text="x" * 1000))
        free.set()
    assert 5 < len(told) < 20
    assert told == [str(i) for i in range(len(told))]
    assert said == [
        f"note: hook was too slow: {100 - len(told)} trajectories were not told to it; the run folder has them all"
    ]


def test_what_a_hook_does_to_what_it_gets_does_not_reach_the_run(place: Path) -> None:
    class Meddles(Hook):
        def on_run_start(self, info: Any, folder: Path) -> None:
            info.config["model"]["name"] = "another"
            info.sessions.clear()

        def on_sample_end(self, record: Any) -> None:
            record.outcome.scores["x"] = 1
            record.sample.choices.clear()

    [made] = run(hooks=[Meddles()])
    assert made.model == "metis-nano"
    assert len(made.info.sessions) == 1
    assert all(record.sample.choices and not record.outcome.scores for record in made.records)


def test_a_hook_that_fails_costs_no_record_and_is_said_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, good = Watch(("start", "sample", "end", "close")), Watch()
    [made] = run(hooks=[bad, good])
    assert made.code == 0
    assert len(made.records) == 6
    assert made.summary.accuracy.count == 5
    assert good.told == [*bad.told]
    said = capsys.readouterr().err
    assert said.count("note: watch failed (RuntimeError: no room at http://***@host/x); the run goes on") == 1
    assert "note: watch failed 9 times; what it was to log is not complete" in said
    assert "hunter2" not in said


def test_a_class_of_the_users_own_needs_only_the_methods_it_wants(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bare:
        count = 0

        def on_sample_end(self, record: Any) -> None:
            self.count += 1

    bare = Bare()
    run(hooks=[bare])
    assert bare.count == 6
    assert "failed" not in capsys.readouterr().err


async def test_the_event_loop_does_not_wait_for_a_slow_hook() -> None:
    free, told = threading.Event(), []

    class Slow(Hook):
        def on_sample_end(self, record: Any) -> None:
            assert free.wait(30)
            told.append(record.sample.id)

    async with Hooks([Slow()], print) as hooks:
        for i in range(3):
            hooks.sample(row(i))
        assert told == []
        free.set()
        await hooks.told()
        assert told == ["0", "1", "2"]


async def test_without_hooks_there_is_no_thread() -> None:
    before = threading.active_count()
    async with Hooks([], print) as hooks:
        hooks.sample(row(1))
        await asyncio.wait_for(hooks.told(), 5)
        assert threading.active_count() == before


def test_an_unknown_place_and_a_missing_library_are_said_before_anything_runs(place: Path, cli: Cli) -> None:
    options = ("--task-dir", "fruit", "-t", "fruit", "--engine", "scripted", "--script", "say.json")
    done = cli("run", *options, "--log-to", "mlfow")
    assert done.returncode == 2
    assert "unknown place to log to 'mlfow'; nearest: mlflow" in done.stderr
    assert not (place / "runs").exists()


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_library_that_is_not_there_is_said_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalkit.hooks.builtin.importlib.util.find_spec", lambda library: None)
    with pytest.raises(EvalkitError, match=rf"--log-to {name} needs .*pip install 'evalkit\[{name}\]'"):
        open_hooks([name])


def test_secrets_do_not_get_into_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer xyzzy-1")
    said = without_secrets("401 for 0123456789abcdef at https://me:pw@host/a, sent authorization=Bearer xyzzy-1")
    assert said == "401 for *** at https://***@host/a, sent ***"


@pytest.mark.parametrize(
    ("name", "value", "said", "shown"),
    [
        # a header's value without its name, and as it goes over the line
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,api-key=0123456789", "sent 0123456789", "sent ***"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer%20xyzzy-1", "no right: xyzzy-1", "no right: ***"),
        # a password apart from its address, and one with the sign that ends it
        ("MLFLOW_TRACKING_URI", "http://me:hunter22@host", "login of me with hunter22", "login of me with ***"),
        ("X", "", "http://me:p@ss@host/x", "http://***@host/x"),
    ],
)
def test_secrets_are_found_apart_from_their_variable(
    name: str, value: str, said: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert without_secrets(said) == shown


def test_settings_leave_out_what_a_card_adds_to_requests(tmp_path: Path) -> None:
    [made] = [evalkit.load_run(write_run(tmp_path / "a", [row(1)]))]
    made.info.config["model"]["fields"] = {"api_key": "hunter2"}
    made.info.config["task"]["options"] = {"from": "https://me:hunter2@host/rows"}
    assert "hunter2" not in str(settings_of(made.info))
    assert settings_of(made.info)["model.name"] == made.model


def test_figures_are_plain_numbers_and_what_is_not_available_is_left_out(place: Path) -> None:
    [made] = run()
    found = figures_of(made.summary)
    assert found["accuracy"] == pytest.approx(5 / 6)
    assert found["rows/done"] == 6
    assert all(type(value) is float for value in found.values())
    assert "tool_rate_ok" in found
    assert "redundant_rate" not in found


def test_running_figures_are_those_of_the_agents_first_tries() -> None:
    so_far = SoFar()
    assert so_far.add(row(1, arm="direct")) is None
    assert so_far.add(row(2, repeat=1)) is None
    assert so_far.add(row(3, Verdict.ENGINE_ERROR)) is None
    assert so_far.add(row(4, calls=1)) == {"so_far/accuracy": 1.0, "so_far/tool_rate": 0.5}
    # at most once a second
    assert so_far.add(row(5, False)) is None
    assert so_far.done == 3
