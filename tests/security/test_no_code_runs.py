"""Files that others made run no code: cards, settings, labels, weights, formulas, and evalkit's own readers."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.baselines import load_baselines
from evalkit.curation.rubric import read_rubric
from evalkit.errors import EvalkitError
from evalkit.models.card import load_card
from evalkit.scoring.judge.labels import read_labels
from evalkit.training.config import method_of
from evalkit.yaml_text import parse_yaml
from tests.conftest import ROOT

READERS: dict[str, Callable[[Path], object]] = {
    "card": load_card,
    "settings": lambda file: method_of(None, file),
    "baselines": load_baselines,
    "labels": read_labels,
    "rubric": read_rubric,
}
_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
_MERGED = "a0: &a0 {k: v}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}\n" for i in range(1, 10)
)
TEXTS = {
    "apply": "name: !!python/object/apply:os.system ['touch {mark}']\n",
    "new": "name: !!python/object/new:os.system ['touch {mark}']\n",
    "module": "name: !!python/name:os.system ''\n",
    "own tag": "name: !function utils.f\n",
    "million laughs": _LAUGHS + "name: *a9\nmethod: *a9\n",
    "merged": _MERGED + "name: *a9\n",
    "of itself": "&a\nname: *a\nmethod: *a\nunknown: *a\n",
    "deep": "name: " + "[" * 20_000,
    "number": "name: x\nmethod: x\nneeds: {gpu_gb: " + "1" * 5000 + "}\n",
    "date": "name: 2024-99-99\n",
    "bytes": "\udcff\udcfe",
    "zero": "name: \0\n",
    "two": "a: 1\n---\nb: 2\n",
    "nothing": "",
}


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """What code in a file would leave behind."""
    file = tmp_path / "ran"
    yield file
    assert not file.exists(), "code in a file was run"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_yaml_is_values_alone_and_what_is_wrong_is_one_line(tmp_path: Path, mark: Path, kind: str, text: str) -> None:
    file = tmp_path / "given.yaml"
    file.write_text(TEXTS[text].replace("{mark}", str(mark)), "utf-8", "surrogateescape")
    with pytest.raises(EvalkitError) as caught:
        READERS[kind](file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_yaml_file_without_end_is_not_parsed() -> None:
    with pytest.raises(ValueError, match="larger than"):
        parse_yaml(b"a: b\n" * 2_000_000)


def test_a_secret_in_a_card_is_refused_and_not_repeated(tmp_path: Path) -> None:
    for name in ("api_key", "apikey", "access_token", "Password", "client_secret", "authorization"):
        file = tmp_path / "card.yaml"
        file.write_text(f"name: x\nserved: {{fields: {{{name}: hunter2hunter2}}}}\n")
        with pytest.raises(EvalkitError, match=r"served\.api_key_env") as caught:
            load_card(file)
        assert "hunter2" not in str(caught.value)
    file.write_text("name: x\nserved: {fields: {max_tokens: 5, enable_search: true, key_frames: 3}}\n")
    assert load_card(file).served.fields["max_tokens"] == 5


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('touch MARK')",
        "\\text{__import__('os').system('touch MARK')}",
        "eval(\"open('MARK','w')\")",
        "\\operatorname{open}('MARK','w')",
        "x.__class__.__mro__[1].__subclasses__()",
        "\\left\\{__import__('os').system('touch MARK')\\right\\}",
        "lambda: open('MARK','w')",
    ],
)
def test_no_answer_is_evaluated(mark: Path, formula: str) -> None:
    from evalkit.scoring import equivalent, score_number

    text = formula.replace("MARK", str(mark))
    for pair in ((text, "1"), ("1", text), (text, text)):
        equivalent(*pair)
    score_number(f"<answer>\\boxed{{{text}}}</answer>", "1", "numbers/1")


class _Evil:
    def __init__(self, mark: Path) -> None:
        self._mark = str(mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self._mark}",))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small model's folder, to be spoilt."""
    pytest.importorskip("transformers")
    folder = tmp_path / "weights"
    shutil.copytree(ROOT / "evalkit" / "models" / "metis_nano", folder)
    return folder


async def refusal(folder: Path) -> str:
    from evalkit.engines.transformers import TransformersEngine

    engine = TransformersEngine(weights=str(folder))
    try:
        with pytest.raises(EvalkitError) as caught:
            await engine.start()
    finally:
        await engine.close()
    return str(caught.value)


async def test_weights_in_pickles_are_not_unpickled(weights: Path, mark: Path) -> None:
    (weights / "model.safetensors").unlink()
    (weights / "pytorch_model.bin").write_bytes(pickle.dumps({"lm_head.weight": _Evil(mark)}))
    assert "\n" not in await refusal(weights)


async def test_code_beside_weights_is_not_run(weights: Path, mark: Path) -> None:
    config = json.loads((weights / "config.json").read_text())
    names = {"AutoConfig": "evil.Config", "AutoModelForImageTextToText": "evil.Model", "AutoProcessor": "evil.P"}
    (weights / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": names}))
    (weights / "evil.py").write_text(f"import os\nos.system('touch {mark}')\n")
    assert "\n" not in await refusal(weights)


def test_a_training_state_is_not_unpickled(tmp_path: Path, mark: Path) -> None:
    torch = pytest.importorskip("torch")
    file = tmp_path / "state.pt"
    torch.save({"step": _Evil(mark)}, file)
    # as evalkit/training/checkpoint.py reads it
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, map_location="cpu", weights_only=True)


_FORBIDDEN = {"eval", "exec", "compile", "__import__"}
_CALLS = {
    ("pickle", "load"), ("pickle", "loads"), ("pickle", "Unpickler"), ("marshal", "load"), ("marshal", "loads"),
    ("shelve", "open"), ("dill", "load"), ("dill", "loads"), ("joblib", "load"), ("cloudpickle", "load"),
    ("cloudpickle", "loads"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("yaml", "load_all"), ("os", "system"),
    ("os", "popen"), ("pandas", "read_pickle"), ("pd", "read_pickle"), ("np", "load"), ("numpy", "load"),
    ("tempfile", "mktemp"),
}  # fmt: skip
_METHODS = {"extractall"}
_GUEST = ("evalkit/sandbox/guest/", "evalkit/bridges/lmms/guest/")
"""Run in a sandbox, where running the model's code is the purpose, or in a foreign harness's own process."""


def findings(file: Path) -> Iterator[str]:
    """Calls in a source file that can make code of data."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        where = f"{file.relative_to(ROOT)}:{node.lineno}"
        match node.func:
            case ast.Name(id=name) if name in _FORBIDDEN:
                yield f"{where} {name}()"
            case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in _CALLS:
                yield f"{where} {module}.{name}()"
            case ast.Attribute(attr=name) if name in _METHODS:
                yield f"{where} .{name}()"
        for given in node.keywords:
            match given:
                case ast.keyword(arg="shell" | "allow_pickle" | "trust_remote_code", value=ast.Constant(value=True)):
                    yield f"{where} {given.arg}=True"
                case ast.keyword(arg="weights_only", value=ast.Constant(value=False)):
                    yield f"{where} weights_only=False"


def test_no_reader_of_evalkits_can_run_what_it_reads() -> None:
    sources = [file for name in ("evalkit", "tasks") for file in (ROOT / name).rglob("*.py")]
    assert len(sources) > 300
    found = [line for file in sources for line in findings(file) if not line.startswith(_GUEST)]
    assert found == []


def test_every_loader_of_weights_says_that_no_code_is_trusted() -> None:
    lacking = []
    for file in (ROOT / "evalkit" / "engines").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "from_pretrained":
                said = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
                if said.get("trust_remote_code") is not False:
                    lacking.append(f"{file.name}:{node.lineno}")
    assert lacking == []
