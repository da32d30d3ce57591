from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import InfrastructureError
from evalkit.scoring import equivalent
from evalkit.scoring._math_client import CLIENT, MathClient
from evalkit.scoring.formula import read_formula
from tests.unit.pathological import FORMULAS

HALF = "\\frac{1}{2}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("\\frac{\\sqrt{3}}{2}", "\\sqrt{\\frac{3}{4}}"), ("\\frac{\\sqrt{3}}{2}", "sqrt(3)/2"),
        ("√3/2", "$\\sqrt{3}/2$"),
        ("2\\pi", "2π"), ("2\\pi", "2 pi"), ("\\frac{120}{360}\\pi", "\\pi/3"), ("0.5\\pi", "\\frac{\\pi}{2}"),
        ("3/4", "0.75"), ("x = \\frac12", "0.5"), ("\\sqrt{16}", "4"), ("\\sqrt[3]{8}", "2"),
        ("4\\sqrt{2}", "\\sqrt{32}"),
        ("\\frac{1}{2+\\sqrt{3}}", "2-\\sqrt{3}"), ("(x+1)^2", "x^2+2x+1"), ("2x", "x+x"), ("ab", "ba"),
        ("x²", "x^2"),
        ("97°", "97"), ("12cm", "12 cm"), ("5\\sqrt{3}\\text{ cm}", "5√3 cm"), ("5\\sqrt{3}", "5√3 cm"),
        ("1e3", "1,000"),
    ],
)  # fmt: skip
def test_equal(first: str, second: str) -> None:
    assert equivalent(first, second) is True
    assert equivalent(second, first) is True


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("\\frac{\\sqrt{3}}{2}", "\\frac{\\sqrt{3}}{3}"), ("2\\pi", "6.28"), ("0.333", "1/3"), ("3.9", "3"),
        ("\\sqrt{2}", "1.414"),
        ("x+1", "x+2"), ("3.141592653589793", "\\pi"), ("12 cm", "12 m"), ("5\\sqrt{3} cm", "5\\sqrt{3} km"),
        ("50%", "0.5"), ("x", "y"),
    ],
)  # fmt: skip
def test_different(first: str, second: str) -> None:
    assert equivalent(first, second) is False
    assert equivalent(second, first) is False


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("AB", "BA"), ("red", "red"), ("", "1"), ("y = 2x", "x = 2x"), ("y = 2x + 1", "2x + 1 = y"), ("3-4i", "3-4i"),
        ("3-5", "3-5"), ("x > 3", "3 < x"), ("(3, 4)", "(3,4)"), ("5!", "120"), ("x - x", "0"),
        ("\\sin 30^\\circ", "0.5"),
        ("\\angle ABC", "\\angle CBA"), ("2011-12", "1999"),
    ],
)  # fmt: skip
def test_what_cannot_be_told(first: str, second: str) -> None:
    assert equivalent(first, second) is None
    assert equivalent(second, first) is None


@pytest.mark.parametrize("name", [*FORMULAS])
def test_hopeless_texts_are_equal_to_nothing(name: str) -> None:
    assert equivalent(FORMULAS[name], "\\frac{\\sqrt{3}}{2}") is not True
    assert equivalent("x^2+y", FORMULAS[name]) is not True


@pytest.mark.parametrize(
    "text",
    [
        "", "x" * 201, "9^{9^{9}}", "((9^{99})^{99})", "x^{13}", "x^{9}y^{9}", "10^{1001}",
        "{" * 7 + "x" + "}" * 7, "\\sqrt{x", "x}",
        "(x]", "^", "\\sin\\cos\\tan x", "\\input{x}", "abcde", "1" * 16 + "x", "x" + "+1" * 60, "a+b+c+d+f", "cm",
        "\\",
    ],
)  # fmt: skip
def test_refused_unseen(text: str) -> None:
    assert read_formula(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    equivalent(text, HALF)
    equivalent("x", text)


SIGNS = ["1", "2", "x", "\\sqrt", "{", "}", "^", "(", ")", "+", "-", "/", "\\frac", "\\pi", " ", "=", "_", "\\cdot"]


@given(st.lists(st.sampled_from(SIGNS), max_size=8).map("".join))
def test_no_broken_formula_raises_and_the_answer_is_symmetric(text: str) -> None:
    assert equivalent(text, "2\\pi") is equivalent("2\\pi", text)


@pytest.fixture
def client() -> MathClient:
    return MathClient()


def test_a_question_that_costs_the_child_its_life_is_a_timeout_and_the_next_is_answered(client: MathClient) -> None:
    # Past the grammar, straight to the algebra: only so can a question take long.
    with contextlib.closing(client):
        assert client.ask("value", "9^{9^{9}}+\\sin(9^{9^{9}})").failed == "timeout"
        assert client.ask("equal", HALF, ["0.5"]).answers == (True,)


def test_a_process_that_was_killed_is_started_again(client: MathClient) -> None:
    with contextlib.closing(client):
        assert client.ask("value", "2/4").answers == ("1/2",)
        process = client._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert client.ask("value", "2/4").answers == ("1/2",)


def test_closing_ends_the_process_and_a_question_starts_another(client: MathClient) -> None:
    with contextlib.closing(client):
        client.ask("value", "2/4")
        process = client._process
        assert process is not None
        client.close()
        assert process.poll() is not None
        assert client.ask("value", "2/4").answers == ("1/2",)


def test_threads_share_one_process(client: MathClient) -> None:
    with contextlib.closing(client), ThreadPoolExecutor(8) as pool:
        questions = [f"{top}/{bottom}" for top in range(1, 6) for bottom in (7, 11)]
        replies = list(pool.map(lambda text: client.ask("value", text), questions))
    assert [reply.answers[0] for reply in replies] == questions
    assert threading.active_count() < 50


def test_a_forked_child_asks_a_process_of_its_own() -> None:
    assert CLIENT.ask("value", "2/4").answers == ("1/2",)
    script = (
        "import os, sys\n"
        "from evalkit.scoring import equivalent\n"
        "assert equivalent('\\\\sqrt{4}', '2')\n"
        "pid = os.fork()\n"
        "same = equivalent('\\\\sqrt{9}', '3') and equivalent('\\\\sqrt{16}', '4')\n"
        "if pid == 0:\n"
        "    os._exit(0 if same else 1)\n"
        "assert os.waitpid(pid, 0)[1] == 0 and same and equivalent('\\\\sqrt{25}', '5')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    script = (
        "import os\n"
        "from evalkit.scoring._math_client import CLIENT\n"
        "CLIENT.ask('value', '2/4')\n"
        "print(CLIENT._process.pid, flush=True)\n"
        "os._exit(1)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    worker = int(found.stdout)
    for _ in range(200):
        if not _alive(worker):
            break
        threading.Event().wait(0.1)
    assert not _alive(worker)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "math_verify.py"
    blocked.write_text("raise ImportError('no module here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        contextlib.closing(MathClient()) as client,
        pytest.raises(InfrastructureError, match="pip install math-verify"),
    ):
        client.ask("value", "1/2")


def test_scoring_plain_answers_starts_no_process() -> None:
    script = (
        "from evalkit.scoring import score_choice, score_number\n"
        "from evalkit.scoring._math_client import CLIENT\n"
        "score_choice('The answer is B', {'A': '1/2', 'B': '\\\\frac{1}{3}'}, 'B', 't')\n"
        "score_number('12 cm', '12', 't', unit='cm')\n"
        "score_choice('I cannot tell.', {'A': '1/2', 'B': '\\\\frac{1}{3}'}, 'B', 't')\n"
        "assert CLIENT._process is None\n"
        "import sys\n"
        "assert not {'sympy', 'math_verify', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_number_that_is_given_again_in_brackets() -> None:
    assert equivalent("36 (6^2)", "36") is True
    assert equivalent("36 (6^2)", "1296") is False
    assert equivalent("36 (6^3)", "36") is None
    assert equivalent("36 cm (36 m)", "36") is None
