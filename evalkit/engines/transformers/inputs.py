"""From a conversation to a model's input tensors, with or without the model's own processor."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from evalkit.engines.base import Request
from evalkit.engines.pixels import PixelBudget, Seen, budget_of_processor
from evalkit.errors import ContextLengthError, DataError, EngineError, EvalkitError, one_line
from evalkit.images import ImageFile

Tensors = dict[str, torch.Tensor]
_CACHE_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Prepared:
    """Model inputs of one request.

    Attributes:
        tokens: inputs with one value a token, (1, tokens) each; `input_ids` is among them.
        media: all other inputs (pixels, grids).
        prompt_tokens: length of the prompt.
        max_tokens: what may be generated: the request's limit within what the context leaves.
        image_tokens: image placeholders in the prompt.
        seen: what the processor made of each image, in order; empty where it has no grids of patches.
    """

    tokens: Tensors
    media: Tensors
    prompt_tokens: int
    max_tokens: int
    image_tokens: int
    seen: tuple[Seen, ...] = ()

    @property
    def layout(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Which media inputs there are and how large one entry is; only equal layouts can be joined."""
        return tuple((name, tuple(tensor.shape[1:])) for name, tensor in sorted(self.media.items()))


class InputBuilder:
    """Builds inputs from several threads at once.

    For models whose images are grids of patches (the Qwen-VL families) each image is processed once and
    its pixels serve every later turn; the placeholder of an image in the prompt is repeated once a merged
    patch. All other models go through their own processor.

    Args:
        weights: folder or hub id.
        revision: hub revision.
        model: the loaded model.
        min_pixels: replaces the image processor's lower bound on an image's pixels.
        max_pixels: replaces its upper bound.

    Attributes:
        tokenizer: the model's tokenizer.
        route: "processor", or "image_processor+tokenizer" where images are grids of patches.

    Raises:
        EvalkitError: the inputs of this model cannot be built here, and why.
    """

    def __init__(
        self, weights: str, revision: str | None, model: Any, min_pixels: int | None, max_pixels: int | None
    ) -> None:
        self._dtype = model.dtype
        self._limit: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._takes_types = "mm_token_type_ids" in inspect.signature(model.forward).parameters
        self._processor, why = _load_processor(weights, revision)
        if self._processor is not None:
            self.tokenizer = self._processor.tokenizer
            self._images = self._processor.image_processor
        else:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(
                weights, revision=revision, trust_remote_code=False
            )
            self._images = transformers.AutoImageProcessor.from_pretrained(
                weights, revision=revision, trust_remote_code=False
            )
        template = getattr(self._processor, "chat_template", None) or self.tokenizer.chat_template
        if not template:
            raise EvalkitError(f"{weights} has no chat template: the transformers engine needs one")
        # A set of named templates is left to the library, which knows the one for tools.
        self._template: str | None = template if isinstance(template, str) else None
        _set_budget(self._images, min_pixels, max_pixels, weights)
        token = getattr(model.config, "image_token_id", None) or getattr(model.config, "image_token_index", None)
        # Without a placeholder in the config, no token is one.
        self._image_token: int = -1 if token is None else token
        self._cache = _PixelCache(_CACHE_BYTES)
        grids = self._image_token >= 0 and "image_grid_thw" in self._images.model_input_names
        if grids and (self._processor is None or self._agrees()):
            self.route = "image_processor+tokenizer"
        elif self._processor is not None:
            self.route = "processor"
        else:
            raise EvalkitError(f"the processor of {weights} cannot be loaded: {why}")
        # The first call settles the tokenizer's padding state, which must not change under other threads.
        self.tokenizer("", add_special_tokens=False)

    def build(self, request: Request) -> Prepared:
        """Inputs of one request.

        Raises:
            DataError: an image cannot be read, or the image processor refuses it.
            EngineError: the processor or the chat template refuses the conversation.
            ContextLengthError: the prompt leaves no room for an answer.
        """
        images = [image for message in request.messages for image in message.images]
        if self.route == "processor":
            tokens, media = self._whole(request, images)
        else:
            tokens, media = self._assembled(request, images)
        ids = tokens["input_ids"]
        prompt = ids.shape[1]
        room = request.max_tokens if self._limit is None else self._limit - prompt
        if room < 1:
            raise ContextLengthError(f"the prompt has {prompt} tokens, the model's context {self._limit}")
        image_tokens = int(ids.eq(self._image_token).sum())
        return Prepared(tokens, media, prompt, min(request.max_tokens, room), image_tokens, self._seen(media))

    @property
    def budget(self) -> PixelBudget | None:
        """The image processor's pixel budget; None for families whose rule is not known."""
        return budget_of_processor(self._images)

    def _seen(self, media: Tensors) -> tuple[Seen, ...]:
        """What became of each image, from the processor's own grids (time, rows and columns of patches)."""
        if "image_grid_thw" not in media:
            return ()
        patch, merge = self._images.patch_size, self._images.merge_size
        return tuple(
            Seen(width=columns * patch, height=rows * patch, tokens=frames * rows * columns // merge**2)
            for frames, rows, columns in media["image_grid_thw"].tolist()
        )

    def _agrees(self) -> bool:
        """Whether own assembly gives exactly what the model's processor gives, on a small conversation."""
        from PIL import Image

        from evalkit.engines.base import Message, Sampling

        image = ImageFile.from_pil(Image.linear_gradient("L").convert("RGB"), "probe")
        message = Message("user", (image, "a", image, "b"))
        request = Request(messages=(message,), sampling=Sampling(), max_tokens=1)
        try:
            theirs = self._whole(request, [image, image])
            ours = self._assembled(request, [image, image])
        except EngineError:
            return False
        return all(
            mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)
            for mine, other in zip(ours, theirs, strict=True)
        )

    def _assembled(self, request: Request, images: list[ImageFile]) -> tuple[Tensors, Tensors]:
        parts = [self._pixels(image) for image in images]
        counts = [int(part["image_grid_thw"].prod()) // self._images.merge_size**2 for part in parts]
        text = self._render(request, None)
        ids: list[int] = []
        used = 0
        for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
            if token != self._image_token:
                ids.append(token)
                continue
            ids += [token] * (counts[used] if used < len(counts) else 1)
            used += 1
        if used != len(counts):
            raise EngineError(
                f"the prompt shows {used} image placeholders for {len(counts)} images: "
                "the chat template drops images, or a text contains the placeholder"
            )
        tokens = {"input_ids": torch.tensor([ids])}
        if self._takes_types:
            tokens["mm_token_type_ids"] = tokens["input_ids"].eq(self._image_token).int()
        media = {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}
        return tokens, media

    def _whole(self, request: Request, images: list[ImageFile]) -> tuple[Tensors, Tensors]:
        inputs = self._render(request, [image.open() for image in images])
        ids = inputs["input_ids"]
        tokens: Tensors = {}
        media: Tensors = {}
        for name, value in inputs.items():
            if name != "attention_mask":
                (tokens if value.shape == ids.shape else media)[name] = self._cast(value)
        if "mm_token_type_ids" in tokens:
            tokens["mm_token_type_ids"] = tokens["mm_token_type_ids"].int()
        return tokens, media

    def _render(self, request: Request, pictures: list[Any] | None) -> Any:
        """The prompt: as text by the tokenizer, or with its pictures as tensors by the processor."""
        whole = pictures is not None
        renderer = self._processor if whole else self.tokenizer
        waiting = iter(pictures or ())
        messages: list[dict[str, Any]] = []
        for message in request.messages:
            content: list[dict[str, Any]] = []
            for part in message.parts:
                if isinstance(part, str):
                    content.append({"type": "text", "text": part})
                else:
                    content.append({"type": "image", "image": next(waiting)} if whole else {"type": "image"})
            messages.append({"role": message.role, "content": content})
        form = {"return_dict": True, "return_tensors": "pt"} if whole else {}
        try:
            return renderer.apply_chat_template(
                messages,
                tools=list(request.tools) or None,
                chat_template=self._template,
                add_generation_prompt=not request.continues,
                continue_final_message=request.continues,
                tokenize=whole,
                **form,
            )
        except Exception as error:
            raise EngineError(f"the chat template or processor refuses the conversation: {one_line(error)}") from error

    def _pixels(self, image: ImageFile) -> Tensors:
        def process() -> Tensors:
            picture = image.open()
            try:
                inputs = self._images(images=[picture], return_tensors="pt")
            except Exception as error:
                raise DataError(f"the image processor refuses {image.name}: {one_line(error)}") from error
            return {name: self._cast(value) for name, value in inputs.items()}

        return self._cache.get(image.header.sha256, process)

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self._dtype) if value.is_floating_point() else value


class _PixelCache:
    """Processed images by content, least recently used ones dropped first; an image in work is waited for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Future[Tensors]] = OrderedDict()

    def get(self, key: str, make: Any) -> Tensors:
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            self._entries.move_to_end(key)
        if not mine:
            return entry.result()
        try:
            made: Tensors = make()
        except BaseException as error:
            with self._lock:
                del self._entries[key]
            entry.set_exception(error)
            raise
        entry.set_result(made)
        with self._lock:
            self._held += _size(made)
            while self._held > self._limit and (done := self._oldest()) is not None:
                self._held -= _size(self._entries.pop(done).result())
        return made

    def _oldest(self) -> str | None:
        return next((key for key, entry in self._entries.items() if entry.done()), None)


def _size(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def _load_processor(weights: str, revision: str | None) -> tuple[Any, str]:
    """The model's own processor, or None and why it does not load."""
    try:
        processor = transformers.AutoProcessor.from_pretrained(weights, revision=revision, trust_remote_code=False)
    except (ImportError, OSError, ValueError) as error:
        # A Qwen-VL processor needs torchvision for videos, which images can do without.
        return None, one_line(error)
    if not hasattr(processor, "image_processor"):
        return None, "it has no image processor"
    return processor, ""


def _set_budget(images: Any, min_pixels: int | None, max_pixels: int | None, weights: str) -> None:
    bounds = {"shortest_edge": min_pixels, "longest_edge": max_pixels}
    wanted = {name: value for name, value in bounds.items() if value is not None}
    if not wanted:
        return
    if "image_grid_thw" not in images.model_input_names:
        raise EvalkitError(f"the image processor of {weights} has no pixel budget: leave min_pixels and max_pixels out")
    images.size = {**{name: images.size[name] for name in bounds}, **wanted}
