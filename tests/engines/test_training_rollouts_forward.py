"""Log-probabilities over a padded batch with shared images are those of plain passes, and so are their gradients."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from evalkit.errors import EvalkitError
from tests.tiny_families import END, IMAGE, START, picture, tiny

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from evalkit.training.forward import token_logprobs  # noqa: E402
from evalkit.training.rollout import Sequence  # noqa: E402
from evalkit.training.vision import Features, Vision  # noqa: E402

FAMILIES = ("qwen3_vl", "qwen2_5_vl", "qwen2_vl", "llava", "gemma3", "internvl")


def sequence(family: str, images: tuple[int, ...], turns: tuple[int, ...], seed: int) -> Sequence:
    """A conversation: images, text, and turns of so many written tokens with an observation before each but the first.

    The second image and those after it come one with each observation, as long as there are some.
    """
    noise = torch.Generator().manual_seed(seed)
    ids: list[int] = []
    written: list[bool] = []
    types: list[int] = []
    media: list[dict[str, Any]] = []

    def text(count: int, own: bool) -> None:
        ids.extend(torch.randint(2, 90, (count,), generator=noise).tolist())
        written.extend([own] * count)
        types.extend([0] * count)

    def show(image: int) -> None:
        inputs, count = picture(family, image)
        media.append(inputs)
        ids.extend([START, *[IMAGE] * count, END])
        written.extend([False] * (count + 2))
        types.extend([0, *[1] * count, 0])

    waiting = list(images)
    for number, length in enumerate(turns):
        text(3, own=False)
        if waiting:
            show(waiting.pop(0))
        text(2 + number, own=False)
        text(length, own=True)
    assert not waiting
    named = {"gemma3": "token_type_ids"}.get(family, "mm_token_type_ids" if family.startswith("qwen") else "")
    return Sequence(
        tokens=torch.tensor(ids),
        written=torch.tensor(written),
        logprobs=None,
        per_token={named: torch.tensor(types)} if named else {},
        media={name: torch.cat([each[name] for each in media]) for name in (media[0] if media else {})},
        image_keys=tuple(map(str, images)),
    )


def batch(family: str) -> list[Sequence]:
    """Unlike lengths; image 1 in all of them, image 2 in two."""
    return [
        sequence(family, (1,), (4,), 0),
        sequence(family, (1, 2), (3, 6), 1),
        sequence(family, (1,), (2, 2), 2),
        sequence(family, (2, 1), (1, 5), 3),
    ]


def plain(model: Any, one: Sequence, temperature: float) -> Any:
    """Log-probabilities of the written tokens, by one pass over one sequence as the library has it."""
    inputs = {"input_ids": one.tokens, "attention_mask": torch.ones_like(one.tokens), **one.per_token}
    logits = model(**{name: value[None] for name, value in inputs.items()}, **one.media).logits[0] / temperature
    never = torch.tensor([IMAGE, 93] if hasattr(model.config, "video_token_id") else [IMAGE])
    logits = logits.index_fill(1, never, -torch.inf)
    return logits.log_softmax(-1)[:-1].gather(1, one.tokens[1:, None])[one.written[1:], 0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_what_single_passes_give_with_gradients(family: str) -> None:
    model = tiny(family).eval()
    rows, temperature = batch(family), 0.7
    found = token_logprobs(model, rows, temperature)
    wanted = [plain(model, row, temperature) for row in rows]
    lengths = [len(row.tokens) for row in rows]
    assert found.logprobs.shape == found.mask.shape == found.entropy.shape == (len(rows), max(lengths))
    assert found.mask.sum(1).tolist() == [int(row.written.sum()) for row in rows]
    assert not found.logprobs[~found.mask].any()
    assert not found.entropy[~found.mask].any()
    assert not found.entropy.requires_grad
    assert torch.allclose(found.logprobs[found.mask], torch.cat(wanted), atol=1e-4)
    weights = torch.linspace(-1, 1, int(found.mask.sum()))
    ours = torch.autograd.grad((found.logprobs[found.mask] * weights).sum(), model.parameters(), allow_unused=True)
    theirs = torch.autograd.grad((torch.cat(wanted) * weights).sum(), model.parameters(), allow_unused=True)
    moved = 0
    for (name, _), mine, other in zip(model.named_parameters(), ours, theirs, strict=True):
        assert (mine is None) == (other is None), name
        if mine is not None:
            assert torch.allclose(mine, other, atol=1e-4, rtol=1e-3), name
            moved += bool(mine.any())
    assert moved > 20


@pytest.mark.parametrize("family", FAMILIES)
def test_each_distinct_image_is_encoded_once(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(family).eval()
    core, seen = model.base_model, []
    original = core.get_image_features

    @functools.wraps(original)
    def count(*args: Any, **kwargs: Any) -> Any:
        pixels = kwargs.get("pixel_values", args[0] if args else None)
        seen.append(len(pixels))
        return original(*args, **kwargs)

    monkeypatch.setattr(core, "get_image_features", count)
    rows = batch(family)
    token_logprobs(model, rows)
    one, two = (len(picture(family, image)[0]["pixel_values"]) for image in (1, 2))
    assert seen == [one + two]
    assert core.get_image_features is count, "the model is left as it was"


def test_an_encoder_of_unknown_form_encodes_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llava").eval()
    rows = batch("llava")
    wanted = torch.cat([plain(model, row, 1.0) for row in rows])
    core, seen = model.base_model, []
    original = core.get_image_features

    @functools.wraps(original)
    def odd(**kwargs: Any) -> Any:
        seen.append(len(kwargs["pixel_values"]))
        output = original(**kwargs)
        if len(seen) == 1:
            output.pooler_output = torch.cat(list(output.pooler_output))
        return output

    monkeypatch.setattr(core, "get_image_features", odd)
    found = token_logprobs(model, rows)
    assert seen == [2, 6]
    assert torch.allclose(found.logprobs[found.mask], wanted, atol=1e-4)


def test_entropy_is_that_of_the_distribution() -> None:
    model = tiny("qwen3_vl").eval()
    row = sequence("qwen3_vl", (1,), (5,), 7)
    found = token_logprobs(model, [row], 2.0)
    inputs = {"input_ids": row.tokens, **row.per_token}
    logits = model(**{name: value[None] for name, value in inputs.items()}, **row.media).logits[0] / 2.0
    logits[:, [IMAGE, 93]] = -1e9
    shares = logits.softmax(-1)[:-1][row.written[1:]]
    assert torch.allclose(found.entropy[found.mask], -(shares * shares.clamp_min(1e-30).log()).sum(-1), atol=1e-4)


def test_placeholders_of_images_have_no_probability() -> None:
    """The engine never draws one; what is left sums to one."""
    model = tiny("qwen3_vl").eval()
    row = sequence("qwen3_vl", (1,), (1,), 7)
    total = 0.0
    for token in range(100):
        if token not in (IMAGE, 93):
            tokens = row.tokens.clone()
            tokens[-1] = token
            one = Sequence(tokens, row.written, None, row.per_token, row.media, row.image_keys)
            with torch.no_grad():
                total += token_logprobs(model, [one]).logprobs.sum().exp().item()
    assert total == pytest.approx(1.0, abs=1e-4)


def test_sequences_without_images_and_nonsense() -> None:
    model = tiny("qwen3_vl").eval()
    row = sequence("qwen3_vl", (), (4, 2), 3)
    found = token_logprobs(model, [row, sequence("qwen3_vl", (1,), (4,), 0)])
    assert torch.allclose(found.logprobs[0][found.mask[0]], plain(model, row, 1.0), atol=1e-4)
    assert torch.allclose(token_logprobs(model, [row]).logprobs[0][row.written], plain(model, row, 1.0), atol=1e-4)
    with pytest.raises(EvalkitError, match="no sequence"):
        token_logprobs(model, [])
    headless = Sequence(row.tokens, torch.ones_like(row.written), None, row.per_token, row.media)
    with pytest.raises(EvalkitError, match="no prompt"):
        token_logprobs(model, [headless])


def test_features_of_earlier_calls_serve_again_until_they_are_dropped() -> None:
    model = tiny("qwen3_vl").eval()
    rows, features, vision = batch("qwen3_vl"), Features(), Vision(model)
    with torch.no_grad():
        with vision.inputs(rows, features) as media:
            assert len(media["pixel_values"]) == 16 + 24
            first = model.base_model.get_image_features(media["pixel_values"], media["image_grid_thw"])
        with vision.inputs(rows, features) as media:
            assert len(media["pixel_values"]) == 0
            again = model.base_model.get_image_features(media["pixel_values"], media["image_grid_thw"])
    assert all(map(torch.equal, first.pooler_output, again.pooler_output))
    assert all(map(torch.equal, first.deepstack_features[0], again.deepstack_features[0]))
    assert len(first.pooler_output) == 6


def test_wrapped_models_give_the_same(tmp_path: Any) -> None:
    rows = batch("qwen3_vl")
    model = tiny("qwen3_vl").eval()
    wanted = token_logprobs(model, rows).logprobs
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(model)
        found = token_logprobs(parallel, rows).logprobs
        assert torch.equal(found, wanted)
        found.sum().backward()
        assert model.model.visual.patch_embed.proj.weight.grad.any()
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_lora_learns_through_it() -> None:
    peft = pytest.importorskip("peft")
    rows = batch("qwen3_vl")
    model = tiny("qwen3_vl").eval()
    wanted = token_logprobs(model, rows).logprobs.detach()
    adapted = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj", "v_proj"], r=2))
    found = token_logprobs(adapted, rows).logprobs
    assert torch.allclose(found, wanted, atol=1e-5)
    found.sum().backward()
    learned = {name for name, weight in adapted.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert learned
    assert all("lora_" in name for name in learned)
