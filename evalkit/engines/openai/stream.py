"""A completion that comes as server-sent events, put together into what it would have been in one piece."""

from __future__ import annotations

from typing import Any

import msgspec

from evalkit.engines.base import Completion
from evalkit.engines.openai.chat import BadReplyError, Call, Choice, Function, Said, complete, joined
from evalkit.errors import EngineError
from evalkit.records import Timing

_LONGEST_EVENT = 2**24
MOST_BYTES = 2**28
"""Of a stream: its events have some hundred bytes for each token."""
_DONE = b"[DONE]"


class _FunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _FunctionDelta | None = None


class _Delta(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[_CallDelta] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None


class _Part(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    matched_stop: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Part] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class Stream:
    """Takes the bytes of an event stream as they come; `completion` is the whole once it has ended.

    Attributes:
        done: the server has said that nothing more comes.
        usage: token counts as the server gave them last; None where it gave none.
    """

    def __init__(self) -> None:
        self.done = False
        self.usage: Any = None
        self._size = 0
        self._rest = b""
        self._event: list[bytes] = []
        self._text: list[str] = []
        self._thought: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Gathered] = []
        self._finish: str | None = None
        self._stop_reason: Any = None
        self._matched_stop: Any = None

    def feed(self, data: bytes) -> bool:
        """Take the next bytes.

        Returns:
            Whether they brought something that the model said.

        Raises:
            BadReplyError: they are no completion, or hold an error.
            EngineError: the stream is longer than any completion.
        """
        said = False
        self._size += len(data)
        if self._size > MOST_BYTES:
            raise EngineError(f"the stream has more than {MOST_BYTES >> 20} MB and was not read to its end")
        *lines, self._rest = (self._rest + data if self._rest else data).split(b"\n")
        if len(self._rest) > _LONGEST_EVENT:
            raise BadReplyError("a line of the stream has no end")
        for line in lines:
            if line.startswith(b"data:"):
                self._event.append(line[5:].strip())
            elif not line.strip() and self._event:
                event, self._event = b"\n".join(self._event), []
                said |= self._take(event)
        return said

    def completion(self, stop: tuple[str, ...], timing: Timing) -> Completion:
        """The whole; see `chat.decode`.

        Raises:
            BadReplyError: the stream broke off before the generation ended.
        """
        self.feed(b"\n\n")
        if self._finish is None:
            raise BadReplyError("the stream ended before the generation did")
        said = Said(
            content="".join(self._text),
            tool_calls=[call.whole() for call in sorted(self._calls, key=lambda call: call.index)],
            reasoning="".join(self._thought),
            refusal="".join(self._refusal),
        )
        choice = Choice(said, self._finish, self._stop_reason, self._matched_stop)
        return complete(choice, self.usage, stop, timing)

    def _take(self, event: bytes) -> bool:
        if event == _DONE:
            self.done = True
            return False
        try:
            chunk = _decoder.decode(event)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadReplyError(f"an event of the stream is not JSON of a completion ({error})") from None
        if chunk.error is not None or chunk.object == "error":
            raise BadReplyError("the server reports an error in the stream", event)
        if chunk.usage is not None:
            self.usage = chunk.usage
        said = False
        for part in chunk.choices or ():
            if part.index:
                continue
            if part.delta is not None:
                said |= self._add(part.delta)
            if part.finish_reason is not None:
                self._finish = part.finish_reason
                said = True
            if part.stop_reason is not None:
                self._stop_reason = part.stop_reason
            if part.matched_stop is not None:
                self._matched_stop = part.matched_stop
        return said

    def _add(self, delta: _Delta) -> bool:
        said = False
        if delta.content:
            self._text.append(delta.content if isinstance(delta.content, str) else joined(delta.content))
            said = True
        if thought := delta.reasoning_content or delta.reasoning:
            self._thought.append(thought)
            said = True
        if delta.refusal:
            self._refusal.append(delta.refusal)
            said = True
        for call in delta.tool_calls or ():
            self._call_for(call).add(call)
            said = True
        return said

    def _call_for(self, delta: _CallDelta) -> _Gathered:
        """The call that a piece belongs to: by index; without one, a piece with an id or a name begins a call."""
        if delta.index is None:
            begins = delta.id or (delta.function and delta.function.name)
            found = self._calls[-1] if self._calls and not begins else None
        else:
            # some servers number every whole call 0: then the ids tell them apart
            same = (call for call in reversed(self._calls) if call.index == delta.index)
            found = next((call for call in same if not (delta.id and call.id and delta.id != call.id)), None)
        if found is None:
            found = _Gathered(len(self._calls) if delta.index is None else delta.index, delta.id)
            self._calls.append(found)
        return found


class _Gathered:
    """One tool call as its pieces come."""

    def __init__(self, index: int, id: str | None) -> None:
        self.index = index
        self.id = id
        self._name = ""
        self._arguments: list[str] = []
        self._object: Any = None

    def add(self, delta: _CallDelta) -> None:
        function = delta.function
        if function is None:
            return
        if function.name and function.name != self._name:
            # some servers say the whole name again with every piece
            self._name += function.name
        if isinstance(function.arguments, str):
            self._arguments.append(function.arguments)
        elif function.arguments is not None:
            self._object = function.arguments

    def whole(self) -> Call:
        return Call(Function(self._name, "".join(self._arguments) if self._object is None else self._object))
