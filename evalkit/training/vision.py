"""Equal images of a batch are encoded once: rollouts of a prompt all show the same ones."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, Protocol

import torch

from evalkit.training.wrapping import bare, instead

Tensors = dict[str, torch.Tensor]
_GRID = "image_grid_thw"
_PIXELS = "pixel_values"


class Pictures(Protocol):
    """Something with images: a row of a batch, a training sequence."""

    @property
    def media(self) -> Mapping[str, torch.Tensor]:
        """Model inputs of its images, joined."""
        ...

    @property
    def image_keys(self) -> tuple[str, ...]:
        """Content of each image, in order."""
        ...


class Features:
    """Encoded images by content, for as long as the weights stay as they are.

    Attributes:
        known: content to what the encoder gave for it, by field.
        form: the encoder's output for some images.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.form: Any = None


class _Plan(NamedTuple):
    """The images of a batch.

    Attributes:
        keys: the distinct ones, in order of first appearance.
        order: which of them each image is that the output is for.
        first: where each of them first stands among the images of the batch.
        pixels: of those that are to be encoded.
        images: of the batch.
        empty: no pixels, in their form.
    """

    keys: list[str]
    order: list[int]
    first: list[int]
    pixels: list[torch.Tensor]
    images: int
    empty: torch.Tensor


class Vision:
    """A model's image encoder, told which images are equal.

    Works for models of the transformers library that encode in `get_image_features` and whose inputs can be told
    apart by image: grids of patches (the Qwen-VL families), or one entry an image in every tensor. For others, every
    image is encoded.

    Args:
        model: wrapped or not.
    """

    def __init__(self, model: Any) -> None:
        inner = bare(model)
        core = getattr(inner, "base_model", inner)
        # None where images are all encoded
        self._core: Any = core if hasattr(core, "get_image_features") else None
        self._windows = [module for module in inner.modules() if _one_window(module)]

    def tells_apart(self, rows: Sequence[Pictures]) -> bool:
        """Whether each image of the rows can be encoded on its own."""
        return self._core is not None and all(_sizes(row) is not None for row in rows)

    @contextmanager
    def inputs(
        self, rows: Sequence[Pictures], features: Features | None = None, shown: Sequence[int] | None = None
    ) -> Iterator[Tensors]:
        """The rows' media inputs for one call of the model, which must happen inside.

        Args:
            rows: of the batch.
            features: of images that were encoded before, and where new ones go; not for training.
            shown: rows whose images the encoder's output is for, which must be told apart; None for all.
        """
        with ExitStack() as undo:
            for module in self._windows:
                undo.enter_context(instead(module, "forward", functools.partial(_window, module, module.forward)))
            plan = self._plan(rows, features, shown) if self._core is not None else None
            if plan is None:
                yield _joined(rows)
                return
            told = rows if shown is None else [rows[at] for at in shown]
            sharing = self._sharing(self._core.get_image_features, plan, told, features or Features())
            undo.enter_context(instead(self._core, "get_image_features", sharing))
            yield {**_joined(rows, without=_PIXELS), _PIXELS: torch.cat([*plan.pixels, plan.empty])}

    def _plan(self, rows: Sequence[Pictures], features: Features | None, shown: Sequence[int] | None) -> _Plan | None:
        """What is encoded; None where there is nothing, or images cannot be told apart."""
        known = () if features is None else features.known.keys()
        index: dict[str, int] = {}
        plan = _Plan([], [], [], [], 0, torch.empty(0))
        wanted = range(len(rows)) if shown is None else frozenset(shown)
        images = 0
        for at, row in enumerate(rows):
            sizes = _sizes(row)
            if sizes is None:
                return None
            starts = itertools.accumulate(sizes, initial=0)
            for place, (key, start, size) in enumerate(zip(row.image_keys, starts, sizes, strict=False)):
                if at not in wanted:
                    break
                if key not in index:
                    index[key] = len(index)
                    plan.keys.append(key)
                    plan.first.append(images + place)
                    if key not in known:
                        plan.pixels.append(row.media[_PIXELS][start : start + size])
                plan.order.append(index[key])
            images += len(sizes)
        some = next((row.media[_PIXELS] for row in rows if row.image_keys), None)
        return None if some is None else plan._replace(images=images, empty=some[:0])

    def _sharing(self, original: Any, plan: _Plan, rows: Sequence[Pictures], features: Features) -> Any:
        signature = inspect.signature(original)

        # `generate` reads the signature
        @functools.wraps(original)
        def get_image_features(*args: Any, **kwargs: Any) -> Any:
            named = signature.bind(*args, **kwargs).arguments
            # decorators of the library want names
            named = {**named, **named.pop("kwargs", {})}
            wanted = [at for at, key in enumerate(plan.keys) if key not in features.known]
            if wanted:
                output = original(**_only(named, [plan.first[at] for at in wanted], plan.images))
                parts = _apart(output, len(wanted))
                if parts is None:
                    # not a form that is known here: encode every image, now and from now on
                    self._core = None
                    every = _only(named, [plan.first[at] for at in plan.order], plan.images)
                    return original(**{**every, _PIXELS: _joined(rows)[_PIXELS].to(named[_PIXELS].device)})
                features.form = output
                features.known.update((plan.keys[at], part) for at, part in zip(wanted, parts, strict=True))
            return _together(features.form, [features.known[plan.keys[at]] for at in plan.order])

        return get_image_features


def placeholders(model: Any) -> list[int]:
    """Tokens that stand for images and videos: a policy that wrote one would promise an image that is not there."""
    config = bare(model).config
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    return sorted({token for name in names if isinstance(token := getattr(config, name, None), int)})


def _sizes(row: Pictures) -> list[int] | None:
    """Rows of `pixel_values` that belong to each image; None where that cannot be told."""
    images = len(row.image_keys)
    if not images:
        return []
    grid = row.media.get(_GRID)
    sizes = [1] * images if grid is None else grid.prod(-1).tolist()
    pixels = row.media.get(_PIXELS)
    if pixels is None or len(sizes) != images or len(pixels) != sum(sizes):
        return None
    others = (tensor for name, tensor in row.media.items() if name != _PIXELS)
    return sizes if all(len(tensor) == images for tensor in others) else None


def _joined(rows: Sequence[Pictures], without: str = "") -> Tensors:
    media = [row.media for row in rows if row.media]
    return {name: torch.cat([each[name] for each in media]) for name in (media[0] if media else ()) if name != without}


def _only(named: Mapping[str, Any], places: list[int], images: int) -> dict[str, Any]:
    """Arguments for some images, from those for all; pixels are in a form of their own."""

    def of_images(name: str, value: Any) -> bool:
        return name != _PIXELS and isinstance(value, torch.Tensor) and value.ndim > 0 and len(value) == images

    return {name: value[places] if of_images(name, value) else value for name, value in named.items()}


def _apart(output: Any, images: int) -> list[dict[str, Any]] | None:
    """What the language model reads of an encoder's output, for each image; None for an unknown form."""
    pooled = getattr(output, "pooler_output", None)
    deep = getattr(output, "deepstack_features", None)
    if not isinstance(pooled, tuple | list | torch.Tensor) or len(pooled) != images:
        return None
    if deep is None:
        return [{"pooler_output": each} for each in pooled]
    if any(not isinstance(layer, tuple | list) or len(layer) != images for layer in deep):
        return None
    return [
        {"pooler_output": each, "deepstack_features": [layer[at] for layer in deep]} for at, each in enumerate(pooled)
    ]


def _together(form: Any, parts: list[dict[str, Any]]) -> Any:
    """An encoder's output for the images of `parts`, in the form of another."""
    pooled = [part["pooler_output"] for part in parts]
    fields: dict[str, Any] = {
        "pooler_output": torch.stack(pooled) if isinstance(form.pooler_output, torch.Tensor) else tuple(pooled)
    }
    if "deepstack_features" in parts[0]:
        layers = zip(*(part["deepstack_features"] for part in parts), strict=True)
        fields["deepstack_features"] = [tuple(layer) for layer in layers]
    return type(form)(**fields)


def _one_window(module: torch.nn.Module) -> bool:
    """Whether it is a convolution whose windows do not overlap."""
    return (
        isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d)
        and module.kernel_size == module.stride
        and module.groups == 1
        and not any(module.padding)
        and all(step == 1 for step in module.dilation)
    )


def _window(module: Any, forward: Any, pixels: torch.Tensor) -> torch.Tensor:
    """A convolution over a single window, as the product that it is: torch has no fast way for it on a CPU."""
    weight = module.weight
    if pixels.shape[1:] != weight.shape[1:]:
        result: torch.Tensor = forward(pixels)
        return result
    flat = torch.nn.functional.linear(pixels.flatten(1), weight.flatten(1), module.bias)
    return flat.reshape(len(pixels), -1, *[1] * (weight.ndim - 2))
