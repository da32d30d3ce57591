"""HDPO inside verl and TRL, on the installed libraries with tiny models on the CPU.

`nox -s train` installs them: verl's transformers is older than the one that evalkit's own engines need, so they have an
environment of their own. verl's driver and workers need Ray and a GPU; here its own functions are called in one
process, those that the driver calls for advantages and the worker for the loss.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from evalkit.hdpo import (
    Channels,
    HdpoInputError,
    LossSettings,
    accuracy_reward,
    hdpo_advantages,
    hdpo_loss,
    tool_reward,
)

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Models of this size are slower on two, above all beside other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CLOSE = {"atol": 1e-6, "rtol": 1e-5}
VOCABULARY = 24
PAD, END = 0, 1


def library(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed; `nox -s train` installs it")


def tiny_gpt2() -> Any:
    transformers = library("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=2,
        attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=END, eos_token_id=END, pad_token_id=PAD,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config)


# --- verl -----------------------------------------------------------------------------------------------------------

# two prompts of four rollouts; 1 for tokens that the model wrote, 0 for observations
MASKS = [
    [1, 1, 1],
    [1, 1, 0, 0, 1, 1],
    [1, 0, 1, 0, 0, 1, 1],
    [1, 1],
    [1, 1, 1, 0, 1],
    [1, 1, 0],  # its last call has no answer after it
    [1, 0, 1, 1],
    [1, 1, 1, 1],
]
CALLS = [0, 1, 2, 0, 1, 0, 1, 0]
SCORES = [1.0, 1.0, 0.9, 0.1, 1.0, 0.0, 1.0, 1.0]
CORRECT = [1, 1, 1, 0, 1, 0, 1, 1]
PROMPTS = ["a", "a", "a", "a", "b", "b", "b", "b"]
QUESTION = 3


@pytest.fixture(scope="module")
def verl_hdpo() -> Any:
    library("verl.trainer.ppo.core_algos")
    from evalkit.hdpo.integrations import verl

    verl.register()
    return verl


@pytest.fixture
def advantages(verl_hdpo: Any) -> torch.Tensor:
    """By the function with which verl's driver computes them."""
    return verl_advantages("hdpo")


def padded(rows: list[list[float]]) -> torch.Tensor:
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)


def verl_advantages(estimator: str, scores: list[float] = SCORES, **config: Any) -> torch.Tensor:
    import numpy as np

    ray_trainer = library("verl.trainer.ppo.ray_trainer")
    from verl import DataProto
    from verl.trainer.config import AlgoConfig

    mask = padded(MASKS)
    rewards = torch.zeros(mask.shape)
    for row, (score, written) in enumerate(zip(scores, MASKS, strict=True)):
        rewards[row, len(written) - 1] = score
    data = DataProto.from_dict(
        tensors={"token_level_rewards": rewards, "response_mask": mask},
        non_tensors={"uid": np.array(PROMPTS, dtype=object)},
    )
    algorithm = AlgoConfig(adv_estimator=estimator, **config)
    return ray_trainer.compute_advantage(data, adv_estimator=estimator, config=algorithm).batch["advantages"]


def expected_channels(divide: bool = True) -> Channels:
    correct = torch.tensor(CORRECT, dtype=torch.float32)
    prompt = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    tool = tool_reward(correct, torch.tensor(CALLS))
    return hdpo_advantages(torch.tensor(SCORES), tool, correct, prompt, divide=divide)


@pytest.mark.parametrize("divide", [True, False])
def test_verl_computes_both_advantages(verl_hdpo: Any, divide: bool) -> None:
    found = verl_hdpo.unpack(verl_advantages("hdpo", norm_adv_by_std_in_grpo=divide), padded(MASKS))
    channels = expected_channels(divide)
    mask = padded(MASKS)
    scale = mask.sum() / mask[channels.tool != 0].sum()
    torch.testing.assert_close(found.accuracy, channels.accuracy, **CLOSE)
    torch.testing.assert_close(found.tool, channels.tool * scale, **CLOSE)


def test_verl_counts_calls_by_the_gaps(verl_hdpo: Any) -> None:
    assert verl_hdpo.calls_in_mask(padded(MASKS)).tolist() == CALLS


def test_verl_accuracy_channel_is_its_own_grpo(verl_hdpo: Any, advantages: torch.Tensor) -> None:
    own = verl_advantages("grpo")
    accuracy = verl_hdpo.unpack(advantages, padded(MASKS)).accuracy
    torch.testing.assert_close(accuracy[:, None] * padded(MASKS), own, **CLOSE)


def verl_batch(rows: slice, advantages: torch.Tensor, tokens: int | None) -> tuple[Any, Any]:
    """(data, ids) as verl's worker has them: nested tensors without padding."""
    from tensordict import TensorDict
    from verl.utils import tensordict_utils

    draw = torch.Generator().manual_seed(3)
    responses = [torch.randint(2, VOCABULARY, (len(row),), generator=draw) for row in MASKS]
    prompts = [torch.randint(2, VOCABULARY, (QUESTION,), generator=draw) for _ in MASKS]

    def nested(tensors: list[torch.Tensor]) -> torch.Tensor:
        return torch.nested.as_nested_tensor(tensors[rows], layout=torch.jagged)

    data = TensorDict(
        {
            "prompts": nested(prompts),
            "responses": nested(responses),
            "response_mask": nested([torch.tensor(row) for row in MASKS]),
            "advantages": nested([advantages[i, : len(row)] for i, row in enumerate(MASKS)]),
        },
        batch_size=len(MASKS[rows]),
    )
    tensordict_utils.assign_non_tensor(
        data, dp_size=1, batch_num_tokens=tokens, global_batch_size=None if tokens is None else len(MASKS)
    )
    ids = [torch.cat([p, r]) for p, r in zip(prompts, responses, strict=True)][rows]
    return data, ids


def next_logprobs(model: Any, ids: list[torch.Tensor]) -> list[torch.Tensor]:
    """Log-probability of the next token at each place of each sequence, the last one's being nothing."""
    found = []
    for row in ids:
        logits = model(input_ids=row[None]).logits[0, :-1]
        picked = logits.log_softmax(-1).gather(1, row[1:, None])[:, 0]
        found.append(torch.nn.functional.pad(picked, (0, 1)))
    return found


def verl_loss(model: Any, old: Any, advantages: torch.Tensor, rows: slice, tokens: int | None) -> tuple[Any, Any]:
    """By the function with which verl's worker computes it."""
    losses = library("verl.workers.utils.losses")
    from verl.workers.config import ActorConfig
    from verl.workers.config.actor import PolicyLossConfig

    data, ids = verl_batch(rows, advantages, tokens)
    with torch.no_grad():
        before = next_logprobs(old, ids)
    data["old_log_probs"] = torch.nested.as_nested_tensor(
        [row[QUESTION - 1 : -1] for row in before], layout=torch.jagged
    )
    config = ActorConfig(
        strategy="fsdp", rollout_n=4, ppo_micro_batch_size_per_gpu=4, policy_loss=PolicyLossConfig(loss_mode="hdpo")
    )
    logprobs = torch.nested.as_nested_tensor(next_logprobs(model, ids), layout=torch.jagged)
    return losses.ppo_loss(config, {"log_probs": logprobs}, data)


def moved(model: Any) -> Any:
    """A copy with other weights, so that ratios are not 1."""
    import copy

    other = copy.deepcopy(model)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return other


def own_loss(model: Any, old: Any, advantages: torch.Tensor) -> torch.Tensor:
    _, ids = verl_batch(slice(None), advantages, None)

    def answers(found: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence([row[QUESTION - 1 : -1] for row in found], batch_first=True)

    with torch.no_grad():
        before = answers(next_logprobs(old, ids))
    return hdpo_loss(
        answers(next_logprobs(model, ids)), before, expected_channels(), padded(MASKS), LossSettings()
    ).loss


def gradients(model: Any, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


def test_verl_loss_is_hdpos(advantages: torch.Tensor) -> None:
    old = tiny_gpt2()
    model = moved(old)
    found, metrics = verl_loss(model, old, advantages, slice(None), None)
    expected = own_loss(model, old, advantages)
    torch.testing.assert_close(found, expected, **CLOSE)
    for a, b in zip(gradients(model, found), gradients(model, expected), strict=True):
        torch.testing.assert_close(a, b, **CLOSE)
    assert {"actor/pg_loss", "actor/pg_loss_accuracy", "actor/pg_loss_tool", "actor/ppo_kl"} <= set(metrics)


def test_verl_micro_batches_add_up(advantages: torch.Tensor) -> None:
    old = tiny_gpt2()
    model = moved(old)
    tokens = int(padded(MASKS).sum())
    parts = [verl_loss(model, old, advantages, rows, tokens)[0] for rows in (slice(0, 3), slice(3, None))]
    torch.testing.assert_close(sum(parts), own_loss(model, old, advantages), **CLOSE)


def test_verl_optimizer_step_moves_towards_fewer_calls(advantages: torch.Tensor) -> None:
    old = tiny_gpt2()
    model = tiny_gpt2()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = own_loss(model, old, advantages)
    loss, _ = verl_loss(model, old, advantages, slice(None), None)
    loss.backward()
    optimizer.step()
    assert own_loss(model, old, advantages) < before - 1e-3


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([math.nan, *SCORES[1:]], "token_level_rewards of rollout 0 is nan"),
        ([2.0, *SCORES[1:]], "the reward of rollout 0 is 2: HDPO takes the accuracy reward, 0 to 1"),
    ],
)
def test_verl_bad_rewards_are_one_line(verl_hdpo: Any, scores: list[float], message: str) -> None:
    with pytest.raises(HdpoInputError, match=message):
        verl_advantages("hdpo", scores)


def test_verl_rewards_with_a_divergence_are_refused(verl_hdpo: Any) -> None:
    estimator = library("verl.trainer.ppo.core_algos").get_adv_estimator_fn("hdpo")
    rewards, mask = torch.full((2, 3), 0.1), torch.ones(2, 3)
    with pytest.raises(HdpoInputError, match="use_kl_in_reward to False"):
        estimator(token_level_rewards=rewards, response_mask=mask, index=["a", "a"])
    with pytest.raises(HdpoInputError, match="shapes that disagree"):
        estimator(token_level_rewards=rewards * 0, response_mask=mask, index=["a"])
    with pytest.raises(HdpoInputError, match="no uid"):
        estimator(token_level_rewards=rewards * 0, response_mask=mask)


def test_verl_other_aggregations_are_refused(verl_hdpo: Any) -> None:
    loss = library("verl.trainer.ppo.core_algos").get_policy_loss_fn("hdpo")
    zeros = torch.zeros(2, 3)
    with pytest.raises(HdpoInputError, match="HDPO's loss is a token-mean"):
        loss(zeros, zeros, zeros, zeros, loss_agg_mode="seq-mean-token-sum")


def test_verl_names_are_not_taken_twice(verl_hdpo: Any) -> None:
    verl_hdpo.register()  # the same again is no harm
    with pytest.raises(HdpoInputError, match="verl has another estimator named 'grpo'"):
        verl_hdpo.register("grpo")
    with pytest.raises(HdpoInputError, match="w_tool is -1"):
        verl_hdpo.register("other", w_tool=-1)


def test_verl_tool_advantage_of_one_token_is_refused(verl_hdpo: Any) -> None:
    one = Channels(torch.tensor([1.0]), torch.tensor([0.5]))
    with pytest.raises(HdpoInputError, match="fewer than two written tokens"):
        verl_hdpo.pack(one, torch.tensor([[0, 1, 0]]))
    none = verl_hdpo.pack(one._replace(tool=torch.zeros(1)), torch.tensor([[0, 1, 0]]))
    assert [float(channel) for channel in verl_hdpo.unpack(none, torch.tensor([[0, 1, 0]]))] == [1.0, 0.0]


def test_verl_loads_it_as_an_external_module(tmp_path: Path) -> None:
    """As its processes do: the module is imported while verl itself still is."""
    library("verl.trainer.ppo.core_algos")
    (tmp_path / "my_hdpo.py").write_text("from evalkit.hdpo.integrations.verl import register\nregister(w_tool=0.2)\n")
    code = (
        "import verl; from verl.trainer.ppo import core_algos as a; "
        "print(a.get_adv_estimator_fn('hdpo').__module__, a.get_policy_loss_fn('hdpo').__module__)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "VERL_USE_EXTERNAL_MODULES": "my_hdpo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.split() == ["evalkit.hdpo.integrations.verl"] * 2, found.stderr[-2000:]


# --- TRL ------------------------------------------------------------------------------------------------------------

CALL, RIGHT, WRONG = "call", "right", "wrong"
WORDS = ["<pad>", "<end>", CALL, RIGHT, WRONG, *(f"w{i}" for i in range(VOCABULARY - 5))]


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="w0"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return library("transformers").PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<end>", padding_side="left"
    )


def count_calls(completions: list[str], **_: Any) -> list[float]:
    return [float(text.split().count(CALL)) for text in completions]


def not_wrong(completions: list[str], **_: Any) -> list[float]:
    return [float(WRONG not in text.split()) for text in completions]


def trl_trainer(
    folder: Path, *, model: Any = None, correct: Any = not_wrong, options: Any = None, **config: Any
) -> Any:
    library("trl")
    from datasets import Dataset
    from trl import GRPOConfig

    from evalkit.hdpo.integrations.trl import HdpoTrainer

    settings = {
        "output_dir": str(folder), "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2,
        "num_generations": 8, "max_completion_length": 6, "learning_rate": 5e-3, "max_steps": 12, "logging_steps": 1,
        "report_to": "none", "save_strategy": "no", "use_cpu": True, "bf16": False, "seed": 0, "disable_tqdm": True,
        "gradient_checkpointing": False, "lr_scheduler_type": "constant", "max_grad_norm": 1.0,
    } | config  # fmt: skip
    return HdpoTrainer(
        model or tiny_gpt2(),
        correct,
        GRPOConfig(**settings),
        **({"calls": count_calls} | (options or {})),
        train_dataset=Dataset.from_dict({"prompt": ["w1 w2", "w3 w4", "w5 w1", "w6 w7"] * 4}),
        processing_class=tokenizer(),
    )


def test_trl_training_gives_up_calls(tmp_path: Path) -> None:
    """Real steps of training: the answers are all right, so that there is nothing to learn but to call less."""
    trainer = trl_trainer(tmp_path, correct=lambda completions, **_: [1.0] * len(completions), options={"w_tool": 1.0})
    before = [weight.detach().clone() for weight in trainer.model.parameters()]
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "rewards/count_calls/mean" in entry]
    calls = [entry["rewards/count_calls/mean"] for entry in logs]
    assert len(calls) == 12
    assert sum(calls[-3:]) < sum(calls[:3]) / 2
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    # all answers being right, the accuracy channel says nothing, and TRL's reward is the accuracy reward
    assert all(entry["hdpo/accuracy"] == 0 for entry in logs)
    assert all(entry["reward"] == pytest.approx(1.0) for entry in logs)
    assert all(entry["hdpo/loss"] == pytest.approx(entry["hdpo/tool"], abs=1e-7) for entry in logs)


def test_trl_learns_answers_with_the_tool_channel_on(tmp_path: Path) -> None:
    trainer = trl_trainer(tmp_path, max_steps=20)
    trainer.train()
    right = [entry["rewards/not_wrong/mean"] for entry in trainer.state.log_history if "reward" in entry]
    assert sum(right[-5:]) > sum(right[:5])
    assert sum(right[-5:]) / 5 > 0.95


def drawn(trainer: Any) -> list[dict[str, Any]]:
    """The micro-batches of one generation, scored."""
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    loader = iter(trainer.get_train_dataloader())
    batch = next(loader)
    parts = []
    for step in range(trainer.args.steps_per_generation):
        trainer._step = step
        parts.append(trainer._prepare_inputs(batch))
    return parts


@pytest.mark.parametrize("tokens", ["qualifying", "all"])
def test_trl_loss_of_a_window_is_hdpos(tmp_path: Path, tokens: Any) -> None:
    """The micro-batches of one step of the optimiser add up to the loss of all their rollouts."""
    trainer = trl_trainer(tmp_path, options={"tool_tokens": tokens})
    parts = drawn(trainer)
    found = sum(trainer.compute_loss(trainer.model, part) for part in parts)
    rows = [row for part in parts for row in one_by_one(trainer, part)]
    assert len(rows) == 32
    logprobs, mask, accuracy, tool = (list(column) for column in zip(*rows, strict=True))
    channels = Channels(torch.stack(accuracy), torch.stack(tool))
    assert (channels.tool != 0).any()
    expected = hdpo_loss(
        torch.nn.utils.rnn.pad_sequence(logprobs, batch_first=True),
        torch.nn.utils.rnn.pad_sequence([row.detach() for row in logprobs], batch_first=True),
        channels,
        torch.nn.utils.rnn.pad_sequence(mask, batch_first=True),
        LossSettings(tool_tokens=tokens, dual_clip=None),
    )
    torch.testing.assert_close(found, expected.loss, **CLOSE)
    for a, b in zip(gradients(trainer.model, found), gradients(trainer.model, expected.loss), strict=True):
        torch.testing.assert_close(a, b, **CLOSE)


def one_by_one(trainer: Any, part: dict[str, Any]) -> Any:
    """Log-probabilities, mask and advantages of each rollout, from a forward of its own."""
    for i in range(len(part["completion_ids"])):
        prompt = part["prompt_ids"][i][part["prompt_mask"][i] == 1]
        mask = part["completion_mask"][i] == 1
        completion = part["completion_ids"][i][mask]
        logits = trainer.model(input_ids=torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
        logprobs = logits.log_softmax(-1).gather(1, completion[:, None])[:, 0]
        yield logprobs, torch.ones_like(logprobs), part["advantages"][i], part["tool_advantages"][i]


def test_trl_advantages_are_hdpos(tmp_path: Path) -> None:
    trainer = trl_trainer(tmp_path, options={"well_formed": lambda completions, **_: [0.0] * len(completions)})
    trainer.model.train()
    batch = next(iter(trainer.get_train_dataloader()))
    output = trainer._generate_and_score_completions(batch)
    texts = trainer.processing_class.batch_decode(output["completion_ids"], skip_special_tokens=True)
    correct, calls = torch.tensor(not_wrong(texts)), torch.tensor(count_calls(texts))
    prompt = torch.arange(len(texts)) // 8
    accuracy = accuracy_reward(correct, torch.zeros(len(texts)))
    expected = hdpo_advantages(accuracy, tool_reward(correct, calls), correct, prompt)
    torch.testing.assert_close(output["advantages"], expected.accuracy, **CLOSE)
    torch.testing.assert_close(output["tool_advantages"], expected.tool, **CLOSE)


def test_trl_without_the_tool_weight_is_its_own_grpo(tmp_path: Path) -> None:
    """The same batch through TRL's loss, with reference divergence and several updates a batch."""
    tiny_gpt2().save_pretrained(tmp_path / "start")  # TRL loads the reference from where the model came from
    trainer = trl_trainer(
        tmp_path, model=str(tmp_path / "start"), options={"w_tool": 0.0},
        beta=0.1, use_bias_correction_kl=False, num_iterations=2, delta=3.0,
    )  # fmt: skip
    parts = drawn(trainer)
    trainer.model = moved(trainer.model)  # away from the policy that wrote
    trl = library("trl")
    for part in parts:
        assert "old_per_token_logps" in part
        own = trl.GRPOTrainer._compute_loss(trainer, trainer.model, part)
        found = trainer.compute_loss(trainer.model, part)
        torch.testing.assert_close(found, own, **CLOSE)
        for a, b in zip(gradients(trainer.model, found), gradients(trainer.model, own), strict=True):
            torch.testing.assert_close(a, b, **CLOSE)


def test_trl_observations_are_not_learned(tmp_path: Path) -> None:
    """Rollouts of an environment: its tokens stand between those that the model wrote."""
    observed = WORDS.index("w9")

    def rollouts(prompts: list[str], trainer: Any) -> dict[str, Any]:
        found: dict[str, list[Any]] = {"prompt_ids": [], "completion_ids": [], "env_mask": [], "made": []}
        for i, prompt in enumerate(prompts):
            calls = i % 3
            turn, answer = [WORDS.index(CALL), observed, observed], [WORDS.index(RIGHT), END]
            found["prompt_ids"].append(trainer.processing_class(prompt)["input_ids"])
            found["completion_ids"].append(turn * calls + answer)
            found["env_mask"].append([1, 0, 0] * calls + [1, 1])
            found["made"].append(calls)
        return {**found, "logprobs": None}

    def reported(made: list[int], **_: Any) -> list[float]:
        return [float(calls) for calls in made]

    trainer = trl_trainer(tmp_path, options={"calls": reported, "rollout_func": rollouts})
    for part in drawn(trainer):
        assert part["tool_mask"].min() == 0
        calls = ((part["completion_ids"] == WORDS.index(CALL)) * part["completion_mask"]).sum(-1)
        assert torch.equal(part["tool_advantages"] > 0, calls == 0)
        logits = trainer.model.lm_head.weight
        loss = trainer.compute_loss(trainer.model, part)
        (there,) = torch.autograd.grad(loss, logits)
        spoilt = part | {"old_per_token_logps": logprobs_but_of_observations(trainer, part)}
        (here,) = torch.autograd.grad(trainer.compute_loss(trainer.model, spoilt), logits)
        torch.testing.assert_close(here, there, **CLOSE)


def logprobs_but_of_observations(trainer: Any, part: dict[str, Any]) -> torch.Tensor:
    """Those of the policy itself, but nonsense for tokens that it did not write."""
    logprobs, _, _ = trainer._get_per_token_logps_and_entropies(
        trainer.model,
        torch.cat([part["prompt_ids"], part["completion_ids"]], dim=1),
        torch.cat([part["prompt_mask"], part["completion_mask"]], dim=1),
        part["completion_ids"].size(1),
    )
    return logprobs.detach().masked_fill(part["tool_mask"] == 0, 50.0)


def test_trl_counts_tool_messages(tmp_path: Path) -> None:
    library("trl")
    from evalkit.hdpo.integrations.trl import tool_messages

    talk = [{"role": "assistant", "content": ""}, {"role": "tool", "content": "error"}, {"role": "assistant"}]
    assert tool_messages([talk, talk[:1], talk + talk]) == [1.0, 0.0, 2.0]
    with pytest.raises(HdpoInputError, match="give HdpoTrainer a function that counts their tool calls"):
        tool_messages(["call right"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"loss_type": "grpo"}, "loss_type is 'grpo': HDPO's loss needs 'dapo'"),
        ({"importance_sampling_level": "sequence"}, "importance_sampling_level is 'sequence'"),
        ({"scale_rewards": "batch"}, "scale_rewards is 'batch': HDPO needs 'group' or 'none'"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile is 0.2"),
        ({"reward_weights": [1.0, 1.0, 1.0]}, r"reward_weights is \[1.0, 1.0, 1.0\]"),
        ({"beta": 0.1}, "HDPO also needs use_bias_correction_kl=False"),
    ],
)
def test_trl_settings_of_another_loss_are_refused(tmp_path: Path, config: Any, message: str) -> None:
    with pytest.raises(HdpoInputError, match=message):
        trl_trainer(tmp_path, **config)


def test_trl_unscored_completions_are_one_line(tmp_path: Path) -> None:
    trainer = trl_trainer(tmp_path, correct=lambda completions, **_: [None] * len(completions))
    with pytest.raises(HdpoInputError, match="correct of rollout 0 is nan, neither 0 nor 1"):
        trainer.train()
