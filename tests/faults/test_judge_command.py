"""A judge on the command line: what it changes, and what a broken one cannot change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from evalkit.engines.openai import OpenAIEngine
from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge import Asked, ModelJudge, Question
from tests.conftest import Cli
from tests.engines.openai_server import Server, said, serving
from tests.judges import PROSE, WORDS, extraction, good, judge_server, mathvista, predictions, row_of

TABLE = ("score", "--task", "mathvista", "--data", "sample", "--out", "out")
KEY = "sk-judge-0123456789abcdef"


def table(folder: Path, *more: object) -> tuple[object, ...]:
    return (*TABLE, "--predictions", predictions(folder / "answers.jsonl"), *more)


def folder_of(out: Path) -> Path:
    (run,) = (folder for folder in out.iterdir() if folder.is_dir())
    return run


def latest(run: Path) -> dict[str, Any]:
    lines = map(json.loads, (run / "samples.jsonl").read_text().splitlines())
    return {line["sample"]["id"]: line["outcome"] for line in lines}


def outcomes(run: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((run / "summary.json").read_text())["outcomes"]
    return found


def test_a_judge_reads_what_the_rules_cannot(cli: Cli, tmp_path: Path) -> None:
    with judge_server() as server:
        done = cli(*table(tmp_path, "--judge-url", server.url, "--judge-key-env", "JUDGE"), JUDGE=KEY)
        assert done.returncode == 0, done.stderr
        assert len(server.bodies) == len(PROSE)
        body = server.last
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert body["response_format"]["type"] == "json_schema"
    assert (body["temperature"], body["messages"][0]["role"]) == (0.0, "system")
    assert "judge: 4 asked, 0 from the cache" in done.stderr
    run = folder_of(tmp_path / "out")
    rows = latest(run)
    assert {id: rows[id]["verdict"] for id in PROSE} == {
        "1": "correct", "2": "correct", "3": "incorrect", "14": "correct"
    }  # fmt: skip
    assert rows["1"]["reason"] == "judge"
    assert (rows["1"]["official"], rows["3"]["official_answer"], rows["14"]["official_answer"]) == (True, "yes", "4:30")
    ruling = rows["2"]["ruling"]
    assert (ruling["said"], ruling["answer"], ruling["quote"]) == ("extracted", "8", WORDS["2"][0])
    assert ruling["seconds"] > 0
    assert (ruling["prompt_tokens"], ruling["completion_tokens"]) == (7, 2)
    info = json.loads((run / "run.json").read_text())
    assert info["config"]["judge"]["model"] == "m"
    assert info["judge"]["asked"] == 4
    assert KEY not in "".join(file.read_text() for file in run.iterdir() if file.is_file())
    assert "went to a judge: m" in done.stdout


def test_the_cache_asks_once_and_another_judge_again(cli: Cli, tmp_path: Path) -> None:
    with judge_server() as server:
        cli(*table(tmp_path, "--judge-url", server.url))
        run = folder_of(tmp_path / "out")
        size = (run / "samples.jsonl").stat().st_size
        done = cli("score", run, "--judge-url", server.url)
        assert "0 of 30 verdicts changed" in done.stdout
        assert "judge: 0 asked, 4 from the cache" in done.stderr
        assert len(server.bodies) == 4
        assert (run / "samples.jsonl").stat().st_size == size
        # without a judge, its stored word counts: no server is needed to score again
        done = cli("score", run)
        assert "0 of 30 verdicts changed" in done.stdout
        assert outcomes(run)["correct"] == 29
        server.card = {"id": "other"}
        done = cli("score", run, "--judge-url", server.url)
        assert len(server.bodies) == 8
        assert json.loads((run / "run.json").read_text())["config"]["judge"]["model"] == "other"


def test_diff_writes_nothing_and_pays_once(cli: Cli, tmp_path: Path) -> None:
    assert cli(*table(tmp_path)).returncode == 0
    run = folder_of(tmp_path / "out")
    before = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
    with judge_server() as server:
        done = cli("score", run, "--diff", "--judge-url", server.url)
        assert "4 of 30 verdicts would change" in done.stdout
        assert before == {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
        cli("score", run, "--judge-url", server.url)
        assert len(server.bodies) == 4
    assert outcomes(run) == {"correct": 29, "incorrect": 1}


BAD: dict[str, Any] = {
    "prose": lambda body: said("The answer is clearly correct, so 20."),
    "another language": lambda body: said('{"zitat": "x", "antwort": "20"}'),
    "two verdicts": lambda body: said('{"quote": "20", "answer": "20"} {"quote": "20", "answer": "21"}'),
    "one field twice": lambda body: said('{"quote": "20", "answer": "20", "answer": "8"}'),
    "empty": lambda body: said(""),
    "no quote of the response": lambda body: extraction("the answer is 20", "20"),
    "an answer with tags": lambda body: extraction(PROSE[row_of(body)][:20], "1</answer><answer>2"),
    "not a text": lambda body: said('{"quote": "20", "answer": 20}'),
}


@pytest.mark.parametrize("reply", BAD.values(), ids=BAD)
def test_a_reply_that_is_no_verdict_is_no_wrong_answer(cli: Cli, tmp_path: Path, reply: Any) -> None:
    with judge_server(reply) as server:
        done = cli(*table(tmp_path, "--judge-url", server.url))
        assert len(server.bodies) == 2 * len(PROSE), "one repair try each"
    assert done.returncode == 3
    run = folder_of(tmp_path / "out")
    assert outcomes(run) == {"correct": 26, "judge_error": 4}
    row = latest(run)["1"]
    assert row["ruling"]["said"] == "unparsable"
    assert "the judge's reply cannot be read" in row["error"]
    assert "official" not in row
    # nothing of it is in the cache: a judge that has come to its senses is asked again
    with judge_server() as server:
        cli("score", run, "--judge-url", server.url)
        assert len(server.bodies) == len(PROSE)
    assert outcomes(run) == {"correct": 29, "incorrect": 1}


def test_the_repair_try_shows_the_judge_its_reply(cli: Cli, tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return good(body) if len(body["messages"]) == 4 else said("I think it is 20.")

    with judge_server(reply) as server:
        done = cli(*table(tmp_path, "--judge-url", server.url))
    assert done.returncode == 0
    assert "4 repaired" in done.stderr
    assert server.last["messages"][2] == {"role": "assistant", "content": "I think it is 20."}
    assert latest(folder_of(tmp_path / "out"))["1"]["ruling"]["tries"] == 2


def http(status: int, text: str, kind: str = "application/json", **headers: str) -> Any:
    return lambda body: web.Response(status=status, text=text, content_type=kind, headers=headers)


def huge(body: dict[str, Any]) -> web.Response:
    return web.Response(body=b'{"choices": "' + b"x" * 50_000_000 + b'"}', content_type="application/json")


DOWN = {
    "refuses the key": (http(401, '{"error": {"message": "no such key"}}'), "refuses all requests (401: no such key)"),
    "refuses the request": (http(400, '{"error": {"message": "moderated"}}'), "refuses the request (400: moderated)"),
    "50 MB": (huge, "more than 16 MB"),
}


@pytest.mark.parametrize(("reply", "why"), DOWN.values(), ids=DOWN)
def test_a_judge_that_fails_midway_makes_error_rows(cli: Cli, tmp_path: Path, reply: Any, why: str) -> None:
    with judge_server(reply) as server:
        done = cli(*table(tmp_path, "--judge-url", server.url))
    assert done.returncode == 3
    run = folder_of(tmp_path / "out")
    assert outcomes(run) == {"correct": 26, "judge_error": 4}
    row = latest(run)["14"]
    assert row["ruling"]["said"] == "unavailable"
    assert why in row["error"]
    assert why in done.stdout


def test_html_and_rate_limits_are_tried_again(cli: Cli, tmp_path: Path) -> None:
    seen: set[str] = set()

    def reply(body: dict[str, Any]) -> Any:
        row = row_of(body)
        if row in seen:
            return good(body)
        seen.add(row)
        page = http(200, "<html><body>Bad gateway</body></html>", "text/html")
        return (page if row in ("1", "2") else http(429, "slow down", **{"Retry-After": "0"}))(body)

    with judge_server(reply) as server:
        done = cli(*table(tmp_path, "--judge-url", server.url, "--judge-concurrency", 1))
        assert len(server.bodies) == 8
    assert done.returncode == 0, done.stderr


def test_a_server_without_schemas_is_asked_for_plain_json(cli: Cli, tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Any:
        return http(400, "response_format is not supported")(body) if "response_format" in body else good(body)

    with judge_server(reply) as server:
        done = cli(*table(tmp_path, "--judge-url", server.url, "--judge-concurrency", 1))
    assert done.returncode == 0
    assert sum("response_format" in json.loads(body) for body in server.bodies) == 1
    info = json.loads((folder_of(tmp_path / "out") / "run.json").read_text())
    assert info["judge"]["engine"]["servers"][0]["schemas"] is False


def test_a_judge_that_is_not_there_is_one_line(cli: Cli, tmp_path: Path) -> None:
    done = cli(*table(tmp_path, "--judge-url", "http://user:geheim@127.0.0.1:9/v1"))
    assert "geheim" not in done.stderr + done.stdout
    run = folder_of(tmp_path / "out")
    assert done.returncode == 3
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert line.startswith("error: --judge-url: cannot reach http://127.0.0.1:9/v1/models")
    assert run.name in line
    assert latest(run)["1"]["verdict"] == "unparsed"
    done = cli("score", run, "--judge-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert "judge" not in json.loads((run / "run.json").read_text())["config"]


def test_options_of_no_judge(cli: Cli, tmp_path: Path) -> None:
    done = cli("score", tmp_path, "--judge-model", "m", "--judge-concurrency", 3)
    assert done.returncode == 2
    assert "--judge-model, --judge-concurrency goes with --judge-url" in done.stderr
    done = cli("run", "--tasks", "panel_probe", "--model", "scripted", "--judge-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 2
    assert "panel_probe asks no judge" in done.stderr
    done = cli(*table(tmp_path, "--judge-url", "127.0.0.1:9"))
    assert "--judge-url: base_url" in done.stderr
    (tmp_path / "notes.txt").write_text("no database at all, " * 100)
    with judge_server() as server:
        done = cli(*table(tmp_path, "--judge-url", server.url, "--judge-cache", "notes.txt"))
    assert "cannot use the judge's cache notes.txt" in done.stderr
    assert "--judge-cache" in done.stderr


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The same responses from a scripted model."""
    turns = {sample.id: [PROSE.get(sample.id, f"<answer>{sample.answer}</answer>")] for sample in mathvista().samples()}
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"samples": turns}))
    return file


RUN = ("run", "--model", "scripted", "--tasks", "mathvista", "--data", "sample", "--out", "out", "--protocol", "direct")


def test_a_run_asks_beside_its_model_and_resumes_with_the_questions_alone(
    cli: Cli, tmp_path: Path, script: Path
) -> None:
    down = True

    def reply(body: dict[str, Any]) -> Any:
        bad = down and row_of(body) in ("1", "2")
        return http(400, '{"error": {"message": "moderated"}}')(body) if bad else good(body)

    with judge_server(reply) as server:
        command = (*RUN, "--script", script, "--judge-url", server.url, "--judge-concurrency", 2)
        done = cli(*command)
        assert done.returncode == 3, done.stderr
        run = folder_of(tmp_path / "out")
        assert outcomes(run) == {"correct": 27, "incorrect": 1, "judge_error": 2}
        down = False
        done = cli(*command)
        assert done.returncode == 0, done.stderr
        assert "judge: 0 asked" in cli(*command).stderr
    assert json.loads((run / "run.json").read_text())["judge"]["asked"] == 2, "as when it was last of use"
    assert "2 rows that could not be scored are scored again" in done.stderr
    assert folder_of(tmp_path / "out") == run
    assert outcomes(run) == {"correct": 29, "incorrect": 1}
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert len(lines) == 32, "no trajectory ran again"
    first, second = [line for line in lines if line["sample"]["id"] == "1"]
    assert first["trajectory"] == second["trajectory"]


def test_a_run_with_a_judge_is_another_run_and_the_gate_says_so(cli: Cli, tmp_path: Path, script: Path) -> None:
    command = (*RUN, "--script", script)
    assert cli(*command, "--run-dir", "plain").returncode == 0
    with judge_server() as server:
        done = cli(*command, "--run-dir", "plain", "--judge-url", server.url)
        assert done.returncode == 2
        assert "judge.model: None -> m" in done.stderr
        assert cli(*command, "--run-dir", "judged", "--judge-url", server.url).returncode == 0
    done = cli("gate", "judged", "--baseline", "plain")
    assert done.returncode == 2
    assert "the judges differ" in done.stderr
    done = cli("compare", "plain", "judged")
    assert "judge" in done.stdout


def test_a_slow_judge_does_not_hold_the_model(cli: Cli, tmp_path: Path, script: Path) -> None:
    running = peak = 0

    def reply(body: dict[str, Any]) -> Any:
        async def later() -> Any:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0.2)
            running -= 1
            return good(body)

        return later()

    with judge_server(reply) as server:
        done = cli(*RUN, "--script", script, "--judge-url", server.url, "--judge-concurrency", 2, "-c", 1)
        assert done.returncode == 0, done.stderr
        assert peak == 1, "with one trajectory at a time, nothing goes on beside it"
        done = cli(
            *RUN,
            "--script",
            script,
            "--judge-url",
            server.url,
            "--judge-concurrency",
            2,
            "--judge-cache",
            "n",
            "--fresh",
        )
    assert peak == 2
    run = sorted(folder for folder in (tmp_path / "out").iterdir() if folder.is_dir())[-1]
    assert outcomes(run) == {"correct": 29, "incorrect": 1}
    assert "judge where asked" in (run / "summary.json").read_text()


def asked_thrice(reply: Any) -> tuple[list[Ruling], Server]:
    """What a judge with little patience says to three questions, one after the other."""

    async def main() -> list[Ruling]:
        async with serving(server):
            engine = OpenAIEngine(
                base_url=server.url, attempts=3, references=False, timeout_s=0.3, backoff_s=0.01, outage_s=0.2
            )
            judge = ModelJudge(engine)
            await judge.start()
            try:
                return [await judge.rule(Question(asked=Asked.EXTRACTION, question=q, response="r")) for q in "abc"]
            finally:
                await judge.close()

    server = Server()
    server.reply = reply
    return asyncio.run(main()), server


def test_a_judge_that_hangs_costs_two_time_limits_a_question() -> None:
    async def hang() -> Any:
        await asyncio.sleep(60)

    rulings, server = asked_thrice(lambda body: hang())
    assert [ruling.said for ruling in rulings] == [Said.UNAVAILABLE] * 3
    assert "no reply within 0.3 s" in rulings[0].error
    assert len(server.bodies) <= 6


def test_a_judge_that_dies_fails_every_question_and_soon() -> None:
    def drop(body: dict[str, Any]) -> Any:
        raise ConnectionResetError

    rulings, _ = asked_thrice(drop)
    assert [ruling.said for ruling in rulings] == [Said.UNAVAILABLE] * 3
