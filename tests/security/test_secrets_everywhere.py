"""No key, token or password in anything that evalkit writes, prints, raises or starts."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import time
import zlib
from pathlib import Path
from urllib.parse import quote

import pytest

from evalkit.cli import main
from evalkit.errors import EvalkitError
from evalkit.secrets import command_without_secrets, is_secret, without_secrets
from tests.security.echoing_server import echoing

KEY = "sk-proj-0123456789abcdefghijklmnop/+="
PASSWORD = "correct horse+battery"
OTHERS = {
    "HF_TOKEN": "hf_abcdefghijklmnopqrstuvwxyz012345",
    "WANDB_API_KEY": "0f" * 20,
    "SERPER_API_KEY": "5e" * 20,
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIbPxRfiCYEXAMPLEKEY",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20otel-secret-value",
    "MLFLOW_TRACKING_URI": "https://me:mlflow-password@127.0.0.1:1/",
}
FORMS = (KEY, base64.b64encode(f"Bearer {KEY}".encode()).decode(), quote(KEY, safe=""), KEY[:20])


def traces(text: str, secrets: tuple[str, ...]) -> list[str]:
    return [secret for secret in secrets if secret in text]


def written(folder: Path) -> str:
    """Everything below a folder, names included, as text."""
    return "\n".join(
        f"{path}\n{path.read_bytes().decode('utf-8', 'replace') if path.is_file() else ''}"
        for path in folder.rglob("*")
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


@pytest.mark.parametrize("how", ["key", "password"])
def test_a_server_that_echoes_the_key_everywhere(
    how: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with echoing() as url:
        secrets = (*FORMS, *OTHERS.values())
        options = ["--api-key-env", "MY_KEY"]
        if how == "password":
            pair = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
            secrets = (PASSWORD, quote(PASSWORD), pair, *OTHERS.values())
            url, options = url.replace("//", f"//ann:{quote(PASSWORD)}@"), []
        arguments = ["run", "--engine", "openai", "--base-url", url, "--model", "m", "--tasks", "panel_probe"]
        arguments += [*options, "--limit", "3", "-c", "1", "--protocol", "direct", "--out", "runs", "--debug"]
        # what evalkit records of its command is its process's
        monkeypatch.setattr(sys, "argv", ["evalkit", *arguments])
        with caplog.at_level(logging.DEBUG):
            main(arguments)
            (run,) = (here / "runs").iterdir()
            for more in (
                ["show", str(run)],
                ["report", str(run), "--html", "r.html", "--md", "r.md", "--json", "r.json", "--csv", "r.csv"],
                ["report", str(run)],
                ["export", str(run), "-f", "jsonl", "--out", "x.jsonl"],
            ):
                main([*more, "--debug"])
    said = capsys.readouterr()
    everything = "\n".join((said.out, said.err, caplog.text, written(here)))
    assert (here / "r.json").is_file()
    assert "redacted" in everything
    assert traces(everything, secrets) == []
    packed = (here / "r.html").read_text().split('"')
    for blob in filter(lambda part: part.startswith("H4sI"), packed):
        assert traces(zlib.decompress(base64.b64decode(blob), 31).decode(), secrets) == []


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("kind", [EvalkitError, RuntimeError])
def test_no_error_shows_what_the_environment_keeps(
    debug: list[str],
    kind: type[Exception],
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            raise OSError(f"login with {OTHERS['HF_TOKEN']}")
        except OSError as error:
            raise kind(f"https://me:hunter2hunter2@host/?t={KEY}") from error

    monkeypatch.setattr("evalkit.models.find_card", fail)
    assert main(["models", "x", *debug]) == (2 if kind is EvalkitError else 3)
    said = capsys.readouterr()
    assert "https://***@host/?t=***" in said.err
    assert ("login with ***" in said.err) == bool(debug)
    assert traces(said.out + said.err, (*FORMS, *OTHERS.values(), "hunter2")) == []


def test_the_recorded_command_has_no_secret(here: Path) -> None:
    given = [
        "run", "--base-url", "https://ann:hunter2@host/v1", "--api-key-env", "MY_KEY", "-T", "judge_token=hunter2",
        "--api-key", "hunter2", "--password=hunter2", "-M", "api_key=hunter2", "--max-tokens", "5", "--limit=3", KEY,
    ]  # fmt: skip
    shown = command_without_secrets(given)
    assert shown == [
        "run", "--base-url", "https://***@host/v1", "--api-key-env", "MY_KEY", "-T", "judge_token=***",
        "--api-key", "***", "--password=***", "-M", "api_key=***", "--max-tokens", "5", "--limit=3", "***",
    ]  # fmt: skip
    assert without_secrets(f"x {KEY} {OTHERS['HF_TOKEN']}") == "x *** ***"
    assert [
        name for name in ("max_tokens", "tokens", "monkey", "keys", "key_env", "prompt_cache_key") if is_secret(name)
    ] == []


def test_no_secret_stands_in_the_arguments_of_a_process(here: Path) -> None:
    """What `ps` shows: evalkit's own, and those that it starts."""
    command = [sys.executable, "-m", "evalkit", "doctor"]
    with subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        seen: set[int] = set()
        try:
            deadline = time.monotonic() + 120
            while process.poll() is None and time.monotonic() < deadline:
                for pid in _family(process.pid):
                    shown = _cmdline(pid)
                    seen.add(pid)
                    assert traces(shown, (*FORMS, *OTHERS.values())) == []
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
    assert len(seen) > 1


def test_the_way_into_the_viewer_is_not_in_the_arguments_of_a_browser(here: Path) -> None:
    from evalkit.viewer.way import way_to

    address = 'http://127.0.0.1:5000/?token=a"b<c'
    with way_to(address) as page:
        assert "token" not in page.as_uri()
        assert page.parent.stat().st_mode & 0o077 == 0
        assert 'url=http://127.0.0.1:5000/?token=a&quot;b&lt;c"' in page.read_text()
    assert not page.parent.exists()


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(found for child in children for found in _family(int(child)))]


def _cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


pytestmark = pytest.mark.skipif(os.name != "posix", reason="looks at processes as POSIX has them")
