"""Prompts from a column of the user's data: read, asked with, part of the configuration, refused where unfit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit import ImageFile, Sample
from evalkit.agents import Agent, Limits
from evalkit.agents.protocols import protocol
from evalkit.content import find_tasks, open_task
from evalkit.engines import Request, Sampling, ScriptedEngine
from evalkit.errors import DataError, EvalkitError
from evalkit.prompts import PromptColumns, prompted, read_columns
from tests.conftest import Cli

USER = PromptColumns(user="p")
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<image>\nWhich?"}]


def one(png: ImageFile, value: Any, columns: PromptColumns = USER, **more: Any) -> Sample:
    return prompted(
        Sample(id="1", question="q", images=(png,)), columns, {"p": value, "id": "1", **more}, "t: f (row 1)"
    )


@pytest.mark.parametrize(
    ("value", "system", "user"),
    [
        ("Which?", "", "Which?"),
        ("<image>\nWhich?", "", "Which?"),
        ("  <image> Which?", "", " Which?"),
        ("[A] or [B]?", "", "[A] or [B]?"),
        ("[1, 2]", "", "[1, 2]"),
        (CHAT, "Be brief.", "Which?"),
        (json.dumps(CHAT), "Be brief.", "Which?"),
        (CHAT[1:], "", "Which?"),
        ([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which?"}]}], "", "Which?"),
    ],
)
def test_a_text_or_messages(png: ImageFile, value: Any, system: str, user: str) -> None:
    sample = one(png, value)
    assert (sample.system, sample.prompt, sample.question) == (system, user, "q")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "column 'p' is empty"),
        (None, "column 'p' is empty"),
        (3, "is neither a text nor a list of messages but int"),
        ([], "has messages of none; a prompt is one user's turn"),
        ([*CHAT, {"role": "assistant", "content": "A"}], "has messages of system, user, assistant"),
        ([{"role": "user", "content": 3}], "neither a text nor a list of texts and images"),
        ([{"role": "user", "content": [{"type": "video"}]}], "neither a text nor a list of texts and images"),
        ([{"role": "user", "content": " "}], "a message is empty"),
        ("Which of <image>?", "has <image> inside its text"),
        ("<image><image>Which?", "has 2 <image> marks, and the sample has 1 images"),
    ],
)
def test_what_is_no_prompt(png: ImageFile, value: Any, why: str) -> None:
    with pytest.raises(DataError, match=re.escape(why)) as raised:
        one(png, value)
    assert str(raised.value).startswith("t: f (row 1): column 'p'")


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), st.lists, max_leaves=8))
def test_any_cell_is_a_prompt_or_an_error_of_one_line(value: Any) -> None:
    sample = Sample(id="1", question="q")
    if isinstance(value, str) and value.strip() and "<image>" not in value:
        assert prompted(sample, USER, {"p": value}, "t").prompt == value
        return
    with pytest.raises(DataError) as raised:
        prompted(sample, USER, {"p": value}, "t")
    assert len(str(raised.value).splitlines()) == 1


def test_a_column_that_is_not_there_is_named_with_those_that_are(png: ImageFile) -> None:
    with pytest.raises(DataError, match=r"t: f \(row 1\) has no column 'x'; its columns: p, id"):
        one(png, "Which?", PromptColumns(user="x"))


def test_a_system_prompt_of_a_column_of_its_own(png: ImageFile) -> None:
    both = PromptColumns(user="p", system="s")
    sample = one(png, "Which?", both, s="Be brief.")
    assert (sample.system, sample.prompt) == ("Be brief.", "Which?")
    assert one(png, "ignored", PromptColumns(system="s"), s="Be brief.").prompt == ""
    with pytest.raises(DataError, match="column 'p' holds a system prompt, and so does 's'"):
        one(png, CHAT, both, s="Be brief.")
    with pytest.raises(DataError, match="column 's' is no text but list"):
        one(png, "Which?", both, s=["Be brief."])


def test_what_the_option_takes() -> None:
    assert read_columns([]) == PromptColumns()
    assert not read_columns([])
    assert read_columns(["query", "system:sys"]) == PromptColumns(user="query", system="sys")
    for bad in (["a", "b"], ["system:a", "system:b"], [""], ["system:"]):
        with pytest.raises(EvalkitError, match="--prompt-from-dataset"):
            read_columns(bad)


async def test_the_model_is_asked_with_it(png: ImageFile) -> None:
    seen: list[Request] = []

    def reply(request: Request) -> str:
        seen.append(request)
        return "<answer>A</answer>"

    def agent(**more: Any) -> Agent:
        return Agent(
            engine=ScriptedEngine(reply),
            protocol=protocol("direct"),
            tools={},
            sampling=Sampling(),
            limits=Limits(),
            **more,
        )

    sample = Sample(id="1", question="q", images=(png,), prompt="Which?", system="Be brief.")
    done = await agent().run(sample, "k")
    assert [(m.role, m.parts) for m in seen[-1].messages] == [("system", ("Be brief.",)), ("user", (png, "Which?"))]
    assert done.prompt == "Which?"
    await agent(system_prompt="Without tools.", own_system=False).run(sample, "k")
    assert seen[-1].messages[0].text == "Without tools."


def run(cli: Cli, folder: Path, *more: object) -> Any:
    (folder / "script.json").write_text('{"default": ["<answer>A</answer>"]}')
    return cli(
        "run", "--model", "scripted", "--protocol", "direct", "--script", "script.json", "--tasks", "wemath",
        "--data", "sample", "--limit", 2, *more,
    )  # fmt: skip


def test_the_command_line(cli: Cli, tmp_path: Path) -> None:
    plain = run(cli, tmp_path, "--run-dir", "plain")
    assert plain.returncode == 0, plain.stderr
    columns = ("--prompt-from-dataset", "question", "--prompt-from-dataset", "system:knowledge concept")
    own = run(cli, tmp_path, "--run-dir", "own", *columns)
    assert own.returncode == 0, own.stderr
    record = json.loads((tmp_path / "own" / "samples.jsonl").read_text("utf-8").splitlines()[0])
    assert record["trajectory"]["prompt"] == record["sample"]["prompt"]
    assert record["sample"]["question"].startswith(record["sample"]["prompt"] + "\nA. ")
    assert record["sample"]["system"] == record["sample"]["metadata"]["concept"]
    infos = [json.loads((tmp_path / name / "run.json").read_bytes()) for name in ("plain", "own")]
    assert infos[0]["config_hash"] != infos[1]["config_hash"]
    assert "prompts" not in infos[0]["config"]["task"]
    assert infos[1]["config"]["task"]["prompts"] == {"user": "question", "system": "knowledge concept"}
    clash = run(cli, tmp_path, "--run-dir", "own", "--prompt-from-dataset", "option")
    assert clash.returncode == 2
    assert "holds a run of another configuration" in clash.stderr
    assert "task.prompts.user: question -> option" in clash.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("nowhere",), "has no column 'nowhere'; its columns: ID, split, "),
        (("ID", "--prompt-from-dataset", "key"), "two columns for the user prompt: 'ID' and 'key'"),
        (("system:key", "--system-prompt", "script.json"), "and so does --system-prompt: leave one out"),
    ],
)
def test_the_command_line_refuses(cli: Cli, tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    ended = run(cli, tmp_path, "--prompt-from-dataset", *options)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_direct_arm_needs_a_prompt_without_tools(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text('{"default": ["<answer>A</answer>"]}')
    base = (
        "run",
        "--model",
        "scripted",
        "--script",
        "script.json",
        "--data",
        "sample",
        "--counterfactual",
        "--limit",
        1,
    )
    ended = cli(*base, "--tasks", "wemath", "--prompt-from-dataset", "system:question")
    assert ended.returncode == 2
    assert "cannot do that to that of --prompt-from-dataset: add --direct-system-prompt" in ended.stderr
    (tmp_path / "direct.txt").write_text("No tools.")
    ended = cli(
        *base, "--tasks", "wemath", "--prompt-from-dataset", "system:question", "--direct-system-prompt", "direct.txt"
    )
    assert ended.returncode == 0, ended.stderr


def test_a_task_without_columns_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text('{"default": ["<answer>A</answer>"]}')
    ended = cli("run", "--model", "scripted", "--script", "script.json", "--tasks", "panel_probe", "--limit", 1,
                "--prompt-from-dataset", "question")  # fmt: skip
    assert ended.returncode == 2
    assert "task panel_probe takes no prompts from columns of its rows" in ended.stderr


def samples(task: str, columns: PromptColumns, **options: str) -> list[Sample]:
    return list(open_task(find_tasks()[task], "sample", options=options, prompts=columns).samples())


@pytest.mark.parametrize(
    ("task", "column", "options"),
    [
        ("wemath", "question", {}),
        ("mathvista", "question", {}),
        ("hrbench_4k", "question", {}),
        ("vstar", "question", {"order": "published"}),
    ],
)
def test_every_benchmark_takes_them(task: str, column: str, options: dict[str, str]) -> None:
    rows = samples(task, PromptColumns(user=column), **options)
    assert all(row.prompt and row.prompt.strip() in row.question for row in rows)
    with pytest.raises(DataError, match=f"{task}.*has no column 'nowhere'; its columns: .*{column}"):
        samples(task, PromptColumns(user="nowhere"), **options)


def test_options_that_evalkit_shuffled_do_not_fit_a_prompt() -> None:
    with pytest.raises(EvalkitError, match="add --task-option order=published"):
        samples("vstar", PromptColumns(user="question"))
    assert all(row.system for row in samples("vstar", PromptColumns(system="question")))
