"""Recorded trajectories as the tokens that a model would have read and written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evalkit.agents.conversation import extend, question
from evalkit.engines.base import Message, Request, Sampling
from evalkit.engines.scripted import ScriptedEngine
from evalkit.engines.transformers.decoding import end_tokens
from evalkit.engines.transformers.inputs import InputBuilder
from evalkit.errors import DataError
from evalkit.models import ModelCard
from evalkit.records import Record, Turn
from evalkit.sandbox import LocalSandbox
from evalkit.training.roller import agent_for
from evalkit.training.rollout import Rollout
from evalkit.training.sequences import Spoken, sequences_of
from evalkit.training.vision import placeholders
from evalkit.training.wrapping import bare


class Encoder:
    """Turns records into tokens, for one model under one card.

    Args:
        model: that will learn; see `PolicyEngine`.
        card: protocol, tools and the folder of tokenizer and processor; whose words the prompts are.
        system_prompt: in place of the protocol's own.
    """

    def __init__(self, model: Any, card: ModelCard, system_prompt: str | None = None) -> None:
        inner = bare(model)
        self._inputs = InputBuilder(
            card.weights.location, card.weights.revision, inner, card.pixels.min, card.pixels.max
        )
        # neither is started: nothing is generated or run
        self._agent = agent_for(card, ScriptedEngine({}), LocalSandbox(), Sampling(), system_prompt)
        self._placeholders = frozenset(placeholders(inner))
        self._end = self._end_token(end_tokens(inner, self._inputs.tokenizer))

    def encode(self, record: Record) -> Rollout:
        """The sequences of one trajectory; turns that the protocol took out of the conversation are left out.

        Raises:
            DataError: an image cannot be read, or a turn's text cannot be learned.
            EngineError: the chat template or the processor refuses the conversation.
            ContextLengthError: the conversation does not fit into the model's context.
        """
        agent, trajectory = self._agent, record.trajectory
        messages = [Message("user", question(agent.protocol, record.sample, agent.without_tools))]
        if system := agent.system_for(record.sample):
            messages.insert(0, Message("system", (system,)))
        kept = [turn for turn in trajectory.turns if not turn.discarded]
        tools = agent.declarations
        spoken: list[Spoken] = []
        for index, turn in enumerate(kept):
            if trajectory.fallback and index == len(kept) - 1:
                messages, tools = [Message("user", agent.protocol.fallback(record.sample))], ()
            request = Request(messages=tuple(messages), sampling=Sampling(), max_tokens=1, tools=tools)
            spoken.append(self._spoken(request, turn, record))
            extend(messages, "assistant", (turn.text,))
            for observation in turn.observations:
                extend(messages, agent.protocol.observation_role, agent.protocol.show(observation))
        return Rollout(record, sequences_of(spoken))

    def _spoken(self, request: Request, turn: Turn, record: Record) -> Spoken:
        prepared = self._inputs.build(request)
        written = self._written(turn)
        if self._placeholders.intersection(written):
            raise DataError(f"sample {record.sample.id}: a turn's text has the model's placeholder of an image in it")
        return Spoken(
            prompt=prepared.tokens["input_ids"][0],
            per_token={name: value[0] for name, value in prepared.tokens.items() if name != "input_ids"},
            media=prepared.media,
            image_keys=tuple(image.header.sha256 for message in request.messages for image in message.images),
            tokens=written,
            logprobs=None,
        )

    def _written(self, turn: Turn) -> list[int]:
        """The turn's text, and the token that ended it unless a limit or a stop string did."""
        tokens: list[int] = self._inputs.tokenizer(turn.text, add_special_tokens=False)["input_ids"]
        stop = self._agent.protocol.stop if self._agent.tools else ()
        return tokens if turn.finish_reason == "length" or turn.text.endswith(stop) else [*tokens, *self._end]

    def _end_token(self, ends: frozenset[int]) -> list[int]:
        """The token that ends the assistant's message in the chat template; the tokenizer's, if it shows none."""

        def ids(*messages: Message) -> list[int]:
            request = Request(messages=messages, sampling=Sampling(), max_tokens=1)
            found: list[int] = self._inputs.build(request).tokens["input_ids"][0].tolist()
            return found

        begun = Message("user", ("a",))
        after = ids(begun, Message("assistant", ("b",)), Message("user", ("c",)))[len(ids(begun)) :]
        own = self._inputs.tokenizer.eos_token_id
        return next(([token] for token in after if token in ends), [] if own is None else [own])


def encode(records: Iterable[Record], model: Any, card: ModelCard, system_prompt: str | None = None) -> list[Rollout]:
    """Recorded trajectories, of any engine, as rollouts to imitate; see `Encoder`.

    Raises:
        DataError: an image cannot be read, or a turn's text cannot be learned.
        EngineError: the chat template or the processor refuses a conversation.
        ContextLengthError: a conversation does not fit into the model's context.
    """
    encoder = Encoder(model, card, system_prompt)
    return [encoder.encode(record) for record in records]
