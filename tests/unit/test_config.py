"""A run's configuration has all that changes a figure, and nothing that does not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from evalkit import DataSource, ImageFile, Outcome, Sample, Task, Verdict
from evalkit.agents import Agent, Limits
from evalkit.agents.protocols import Metis, Protocol, QwenTools
from evalkit.engines import Sampling, ScriptedEngine
from evalkit.models import ModelCard, Pixels, Weights
from evalkit.runs.plan import config_hash, config_of, fingerprint
from evalkit.task import Option
from evalkit.tools.base import ToolSpec


class Small(Task):
    """One option."""

    name = "small"
    options: ClassVar[dict[str, Option]] = {"size": 1}

    def samples(self) -> Iterable[Sample]:
        return []

    def score(self, sample: Sample, response: str) -> Outcome:
        return Outcome(verdict=Verdict.UNPARSED)


class Named:
    """A tool with a description."""

    def __init__(self, description: str) -> None:
        self.spec = ToolSpec(name="python", description=description, parameters={})


SAMPLE = Sample(id="1", question="q", answer="A", category="c", metadata={"gold": "A"})


def digest(
    *,
    samples: Sequence[Sample] = (SAMPLE,),
    card: ModelCard | None = None,
    identity: str = "",
    protocol: Protocol | None = None,
    tools: dict[str, Any] | None = None,
    sampling: Sampling | None = None,
    limits: Limits | None = None,
    prompt: str | None = None,
    size: int = 1,
    sandbox: dict[str, Any] | None = None,
) -> str:
    agent = Agent(
        engine=ScriptedEngine(["x"]),
        protocol=protocol or QwenTools(),
        tools={"python": Named("runs code")} if tools is None else tools,
        sampling=sampling or Sampling(),
        limits=limits or Limits(),
        system_prompt=prompt,
    )
    task = Small(DataSource(kind="sample"), Path(), {"size": str(size)})
    model = card or ModelCard(name="m")
    return config_hash(
        config_of(task=task, samples=list(samples), card=model, identity=identity, agent=agent, sandbox=sandbox or {})
    )


CHANGES: list[dict[str, Any]] = [
    {"samples": [msgspec.structs.replace(SAMPLE, question="r")]},
    {"samples": [msgspec.structs.replace(SAMPLE, metadata={"gold": "B"})]},
    {"samples": [msgspec.structs.replace(SAMPLE, category="d")]},
    {"samples": [SAMPLE, msgspec.structs.replace(SAMPLE, id="2")]},
    {"samples": [msgspec.structs.replace(SAMPLE, images=(ImageFile.from_bytes(b"1", "x"),))]},
    {"card": ModelCard(name="other")},
    {"card": ModelCard(name="m", weights=Weights(hub="a/b"))},
    {"card": ModelCard(name="m", weights=Weights(dtype="bfloat16"))},
    {"card": ModelCard(name="m", pixels=Pixels(max=1))},
    {"card": ModelCard(name="m", engine="openai")},
    {"identity": "served"},
    {"protocol": Metis()},
    {"tools": {}},
    {"tools": {"python": Named("another sentence for the model")}},
    {"sampling": Sampling(temperature=1.0)},
    {"sampling": Sampling(seed=1)},
    {"limits": Limits(turns=2)},
    {"prompt": "mine"},
    {"size": 2},
    {"sandbox": {"call_s": 1.0}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_changes_a_figure_changes_the_hash(change: dict[str, Any]) -> None:
    assert digest(**change) != digest()


def test_the_same_configuration_has_the_same_hash() -> None:
    assert digest() == digest()


def test_another_image_under_the_same_name_is_another_set(tmp_path: Path) -> None:
    def mark(data: bytes) -> str:
        (tmp_path / "x.png").write_bytes(data)
        return fingerprint([msgspec.structs.replace(SAMPLE, images=(ImageFile.from_path(tmp_path / "x.png"),))])

    assert mark(b"a" * 9000) != mark(b"b" + b"a" * 8999)
    assert mark(b"a" * 9000) == mark(b"a" * 9000)


def test_where_a_folder_lies_is_no_part_of_it(tmp_path: Path) -> None:
    marks = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"same")
        image = ImageFile.from_path(tmp_path / name / "x.png")
        marks.add(fingerprint([msgspec.structs.replace(SAMPLE, images=(image,))]))
    assert len(marks) == 1


def test_two_large_checkpoints_of_one_size_are_told_apart(tmp_path: Path) -> None:
    digests = set()
    for name in (b"a", b"b"):
        folder = tmp_path / name.decode() / "final"
        folder.mkdir(parents=True)
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(80_000_000)
            for place in range(0, 80_000_000, 100_000):
                file.seek(place)
                file.write(name * 100_000)
        digests.add(digest(card=ModelCard(name="final", weights=Weights(folder=str(folder)))))
    assert len(digests) == 2
