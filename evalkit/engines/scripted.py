"""An engine that says what it is told to: for tests, dry runs and examples."""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from evalkit.engines.base import Completion, Request, cut_at_stop
from evalkit.errors import EngineError, EvalkitError, one_line
from evalkit.records import Usage

Reply = str | Completion | Exception
Script = Callable[[Request], Reply] | Mapping[str, Any] | Sequence[str]


class _Texts(msgspec.Struct, forbid_unknown_fields=True):
    default: list[str] = []
    samples: dict[str, list[str]] = {}
    delay_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class ScriptedEngine:
    """The shipped fake of `Engine`.

    Texts are returned up to and including the first stop string, as every engine returns them,
    with words (split at whitespace) counted as tokens, so that figures are known beforehand.

    Args:
        script: a function from the request to a text, a `Completion` (returned as it is) or an
            exception (raised); or texts by turn; or the mapping form of a script file,
            `{"default": [...], "samples": {"<sample id>": [...]}}`, where the turns beyond a list
            repeat its last text; `"delay_s"` may stand beside them.
        delay_s: seconds that each generation takes; 0 leaves it to the script.

    Raises:
        EvalkitError: the script has not one of these forms.
    """

    def __init__(self, script: Script, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s
        if callable(script):
            self._reply: Callable[[Request], Reply] = script
            self._sha256 = hashlib.sha256(_source(script).encode()).hexdigest()
            return
        form = script if isinstance(script, Mapping) else {"default": script}
        try:
            texts = msgspec.convert(form, _Texts, str_keys=True)
        except msgspec.ValidationError as error:
            raise EvalkitError(f"script: {one_line(error)}; {_FORM}") from None
        self._delay_s = delay_s or texts.delay_s
        self._reply = _Lookup(texts)
        # The delay changes no answer: a run may be resumed with another one.
        said = msgspec.json.encode([texts.default, texts.samples], order="deterministic")
        self._sha256 = hashlib.sha256(said).hexdigest()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], delay_s: float = 0.0) -> ScriptedEngine:
        """An engine that follows a script file (JSON, see `script`).

        Raises:
            EvalkitError: the file cannot be read or has another form.
        """
        try:
            script = msgspec.json.decode(Path(path).read_bytes(), type=_Texts)
        except OSError as error:
            raise EvalkitError(f"cannot read script {path}: {error.strerror or one_line(error)}") from None
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise EvalkitError(f"script {path}: {one_line(error)}; {_FORM}") from None
        return cls(msgspec.structs.asdict(script), delay_s)

    async def start(self) -> dict[str, Any]:
        """Nothing to reach.

        Returns:
            kind and the script's sha256 (of a function: of its source).
        """
        return {"kind": "scripted", "sha256": self._sha256, "identity": self._sha256}

    async def generate(self, request: Request) -> Completion:
        """What the script says.

        Raises:
            EngineError: the script has nothing for the sample, or says so.
        """
        if self._delay_s:
            import asyncio

            await asyncio.sleep(self._delay_s)
        reply = self._reply(request)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, Completion):
            return reply
        text = cut_at_stop(reply, request.stop)
        shown = sum(len(message.text.split()) for message in request.messages)
        return Completion(text=text, usage=Usage(prompt_tokens=shown, completion_tokens=len(text.split())))

    async def close(self) -> None:
        """Nothing to free."""


_FORM = 'it must look like {"default": ["turn 0", "turn 1"], "samples": {"<sample id>": ["turn 0"]}}'


class _Lookup:
    def __init__(self, texts: _Texts) -> None:
        self._texts = texts

    def __call__(self, request: Request) -> Reply:
        # "sample/arm/repeat": only the sample's id may hold further slashes.
        sample = request.key.rsplit("/", 2)[0]
        turns = self._texts.samples.get(sample) or self._texts.default
        if not turns:
            return EngineError(f"the script has no text for sample {one_line(sample, 80)!r} and no default")
        return turns[min(request.turn, len(turns) - 1)]


def _source(script: Callable[[Request], Reply]) -> str:
    try:
        return inspect.getsource(script)
    except (OSError, TypeError):
        return f"{type(script).__module__}.{getattr(script, '__qualname__', type(script).__qualname__)}"
