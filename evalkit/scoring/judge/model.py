"""A judge that is a language model behind an engine; what it is asked, and how its reply is read, is a `Wording`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from evalkit.engines.base import Completion, Engine, Message, Request, Sampling
from evalkit.errors import ContextLengthError, EngineError, one_line
from evalkit.records import Usage
from evalkit.rulings import Ruling, Said
from evalkit.scoring.judge.base import identity_digest
from evalkit.scoring.judge.cache import JudgeCache
from evalkit.scoring.judge.prompts import fresh_nonce, messages, prompts_digest, repair, schema, sendable
from evalkit.scoring.judge.question import Question
from evalkit.scoring.judge.reading import Read, UnreadableError, read

SAMPLING = Sampling(temperature=0.0)
MAX_TOKENS = 2048
"""Of one reply: room for a judge that reasons before it rules."""
TRIES = 2
"""The question, and once more where the reply could not be read."""
GIVE_UP_AFTER = 32
"""Questions in a row without a reply. From then on one at a time tries whether the judge is back; the others fail at
once: a judge that hangs must not cost its time limit for each of thousands."""

_NO_TOKENS = Usage(prompt_tokens=0, completion_tokens=0, image_tokens=0)
Q = TypeVar("Q")
_Asks = TypeVar("_Asks", contravariant=True)


class Wording(Protocol[_Asks]):
    """How one kind of question is put to a model, and how its reply is read."""

    def digest(self) -> str:
        """What stands for prompts and schemas in a judge's identity."""
        ...

    def asked(self, question: _Asks) -> str:
        """The kind of question, as its ruling has it."""
        ...

    def carried(self, question: _Asks) -> Any:
        """All that tells a question from others, as JSON carries it."""
        ...

    def messages(self, question: _Asks) -> tuple[Message, ...]:
        """The conversation that puts it."""
        ...

    def schema(self, question: _Asks) -> dict[str, Any]:
        """The JSON schema of the reply."""
        ...

    def read(self, reply: str, question: _Asks) -> Read:
        """Read the model's whole reply.

        Raises:
            UnreadableError: it is not of the form asked for.
        """
        ...


class Asker(Generic[Q]):
    """Puts each question to a model, reads its reply strictly, and keeps what it said.

    Args:
        engine: started and closed with the asker.
        wording: how it asks.
        cache: opened and closed with the asker; None keeps nothing.
    """

    def __init__(self, engine: Engine, wording: Wording[Q], cache: JudgeCache | None = None) -> None:
        self._engine = engine
        self._wording = wording
        self._cache = cache
        self._identity: dict[str, Any] = {}
        self._digest = ""
        self._started: dict[str, Any] = {}
        self._failures = 0
        self._trying = False
        self._counts = dict.fromkeys(("asked", "cached", "repaired", *(said.value for said in Said if said.failed)), 0)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The served model, the prompts' digest, and the settings."""
        return self._identity

    async def start(self) -> dict[str, Any]:
        """Open the cache and reach the model.

        Returns:
            What the engine says of itself.

        Raises:
            EvalkitError: either cannot be used.
        """
        if self._cache is not None:
            await self._cache.open()
        self._started = started = await self._engine.start()
        self._identity = {
            "model": str(started.get("identity") or started.get("model") or started.get("kind", "")),
            "prompts": self._wording.digest(),
            "settings": {**msgspec.to_builtins(SAMPLING), "max_tokens": MAX_TOKENS, "tries": TRIES},
        }
        self._digest = identity_digest(self._identity)
        return started

    async def rule(self, question: Q) -> Ruling:
        """The model's word, from the cache if it was asked the same before.

        Raises:
            InfrastructureError: the cache cannot be read or written.
        """
        key = self._key(question)
        if self._cache is not None and (kept := await self._cache.get(key)):
            self._counts["cached"] += 1
            return msgspec.structs.replace(kept, cached=True)
        ruling = await self._ask_or_not(question, key.hex())
        self._counts["asked"] += 1
        self._counts["repaired"] += ruling.tries > 1 and not ruling.said.failed
        if ruling.said.failed:
            self._counts[ruling.said] += 1
        elif self._cache is not None:
            await self._cache.put(key, ruling)
        return ruling

    def facts(self) -> dict[str, Any]:
        """Questions asked, taken from the cache, repaired and failed; what the engine says of itself."""
        servers = getattr(self._engine, "facts", None)
        engine = {**self._started, **({"servers": servers()} if servers is not None else {})}
        return {**self._counts, "engine": engine}

    async def close(self) -> None:
        """Close the engine and the cache."""
        await self._engine.close()
        if self._cache is not None:
            await self._cache.close()

    def _key(self, question: Q) -> bytes:
        # a nonce is drawn for each asking and changes nothing of what is asked
        text = msgspec.json.encode([self._identity, self._wording.carried(question)], order="sorted")
        return hashlib.sha256(text).digest()

    async def _ask_or_not(self, question: Q, key: str) -> Ruling:
        if gone := self._failures >= GIVE_UP_AFTER:
            if self._trying:
                why = f"the judge was not asked: it had failed {self._failures} times in a row"
                return self._ruling(question, Said.UNAVAILABLE, 0.0, _NO_TOKENS, 1, error=why)
            self._trying = True
        try:
            ruling = await self._ask(question, key)
        finally:
            self._trying = self._trying and not gone
        self._failures = self._failures + 1 if ruling.said is Said.UNAVAILABLE else 0
        return ruling

    async def _ask(self, question: Q, key: str) -> Ruling:
        conversation = self._wording.messages(question)
        seconds, usage = 0.0, _NO_TOKENS
        why = reply = ""
        for tries in range(1, TRIES + 1):
            began = time.perf_counter()
            try:
                completion = await self._engine.generate(
                    Request(
                        messages=conversation,
                        sampling=SAMPLING,
                        max_tokens=MAX_TOKENS,
                        key=key,
                        turn=tries - 1,
                        schema=self._wording.schema(question),
                    )
                )
            except EngineError as error:
                if isinstance(error, ContextLengthError) and why:
                    # what has no room is the repair of a reply that could not be read
                    break
                seconds += time.perf_counter() - began
                return self._ruling(question, Said.UNAVAILABLE, seconds, usage, tries, error=one_line(error))
            seconds += time.perf_counter() - began - (completion.timing.queue_s or 0.0)
            usage += completion.usage
            reply = completion.text
            try:
                found = self._wording.read(reply, question)
            except UnreadableError as error:
                why = _with_end(str(error), completion)
                conversation = repair(conversation, reply, why)
                continue
            return self._ruling(question, found.said, seconds, usage, tries, answer=found.answer, quote=found.quote)
        unread = f"the judge's reply cannot be read ({why}); it begins: {one_line(reply, 80)!r}"
        return self._ruling(question, Said.UNPARSABLE, seconds, usage, tries, error=unread)

    def _ruling(self, question: Q, said: Said, seconds: float, usage: Usage, tries: int, **found: str | None) -> Ruling:
        return msgspec.convert(
            {
                "asked": self._wording.asked(question),
                "said": said,
                "judge": self._digest,
                "seconds": max(seconds, 0.0),
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "tries": tries,
                **found,
            },
            Ruling,
        )


def _with_end(why: str, completion: Completion) -> str:
    return f"{why}; it was cut off after {MAX_TOKENS} tokens" if completion.finish_reason == "length" else why


class Answers:
    """Questions about the answer that a response gives; see `evalkit.scoring.judge.prompts`."""

    def digest(self) -> str:
        """Of all prompts and schemas."""
        return prompts_digest()

    def asked(self, question: Question) -> str:
        """Extraction or equivalence."""
        return question.asked.value

    def carried(self, question: Question) -> dict[str, Any]:
        """The question; a longer response is the same as its end, which is all that is shown."""
        fields = {**msgspec.to_builtins(question), "response": question.shown}
        return {name: sendable(value) if isinstance(value, str) else value for name, value in fields.items()}

    def messages(self, question: Question) -> tuple[Message, ...]:
        """The conversation, fenced with a fresh nonce."""
        return messages(question, fresh_nonce(question))

    def schema(self, question: Question) -> dict[str, Any]:
        """Of the reply."""
        return schema(question)

    def read(self, reply: str, question: Question) -> Read:
        """See `evalkit.scoring.judge.reading.read`."""
        return read(reply, question)


class ModelJudge(Asker[Question]):
    """The judge of answers.

    Args:
        engine: started and closed with the judge.
        cache: opened and closed with the judge; None keeps nothing.
    """

    def __init__(self, engine: Engine, cache: JudgeCache | None = None) -> None:
        super().__init__(engine, Answers(), cache)
