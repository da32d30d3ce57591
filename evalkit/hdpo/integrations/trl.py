"""HDPO for TRL: a GRPO trainer whose loss has the two channels."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from trl import GRPOConfig, GRPOTrainer

from evalkit.hdpo.advantages import Channels, hdpo_advantages
from evalkit.hdpo.checks import HdpoInputError
from evalkit.hdpo.loss import TokenCounts, hdpo_loss, token_counts
from evalkit.hdpo.rewards import ANSWER_SHARE, accuracy_reward, tool_reward
from evalkit.hdpo.settings import LossSettings, TokenMean

Scorer = Callable[..., Sequence[float]]
"""A TRL reward function: keyword arguments in (`completions` among them), one number a completion out."""

_FIXED = {
    "loss_type": "dapo",
    "importance_sampling_level": "token",
    "multi_objective_aggregation": "sum_then_normalize",
    "off_policy_mask_threshold": None,
    "top_entropy_quantile": 1.0,
    "entropy_coef": 0.0,
    "use_adaptive_entropy": False,
    "use_liger_kernel": False,
    "reward_weights": None,
}
"""What GRPOConfig must say: these change a loss that HDPO defines."""


class HdpoTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer with HDPO's advantages and loss; generation, tools, reference model and logging are TRL's.

    Bounds of the ratio (`epsilon`, `epsilon_high`, `delta`), the weight of the reference divergence (`beta`) and the
    division by the deviation (`scale_rewards`: "group" or "none") come from GRPOConfig.
    """

    def __init__(
        self,
        model: Any,
        correct: Scorer,
        args: GRPOConfig,
        *,
        calls: Scorer | None = None,
        well_formed: Scorer | None = None,
        w_accuracy: float = 1.0,
        w_tool: float = 0.15,
        tool_tokens: TokenMean = "qualifying",
        **options: Any,
    ) -> None:
        """Make the trainer.

        Args:
            model: as for GRPOTrainer.
            correct: 1 for a right answer, else 0.
            args: as for GRPOTrainer; settings that would change the loss are refused.
            calls: dispatched tool calls; by default the tool messages of a conversation.
            well_formed: 1 for a completion of the right form, else 0; by default all are.
            w_accuracy: see `LossSettings`.
            w_tool: see there.
            tool_tokens: see there; the batch is the one that completions are generated for.
            options: further arguments of GRPOTrainer.

        Raises:
            HdpoInputError: weights out of range, or a setting of `args` that HDPO's loss does not have.
        """
        _check(args)
        args = copy.copy(args)
        # so that TRL's logged reward is the accuracy reward
        args.reward_weights = [ANSWER_SHARE, 1 - ANSWER_SHARE, 0.0]
        self._loss_settings = LossSettings(
            w_accuracy=w_accuracy,
            w_tool=w_tool,
            clip_low=args.epsilon,
            clip_high=args.epsilon if args.epsilon_high is None else args.epsilon_high,
            dual_clip=args.delta,
            kl=args.beta,
            tool_tokens=tool_tokens,
        )
        self._divide = args.scale_rewards != "none"
        self._scores = torch.zeros(0, 3)
        super().__init__(model, [correct, well_formed or always, calls or tool_messages], args, **options)

    def _calculate_rewards(self, *given: Any, **named: Any) -> torch.Tensor:
        self._scores = super()._calculate_rewards(*given, **named)
        return self._scores

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        mode = "train" if self.model.training else "eval"
        group = self.num_generations if mode == "train" else self.num_generations_eval
        correct, formed, calls = self._scores.unbind(-1)
        prompt = torch.arange(len(correct), device=correct.device) // group
        everyone = hdpo_advantages(
            accuracy_reward(correct, formed), tool_reward(correct, calls), correct, prompt, divide=self._divide
        )
        rows = len(output["advantages"])
        here = slice(self.accelerator.process_index * rows, (self.accelerator.process_index + 1) * rows)
        channels = Channels(*(channel[here] for channel in everyone))
        output["advantages"], output["tool_advantages"] = channels
        counts = token_counts(channels, _mask(output), self._loss_settings)
        output["tool_items_in_batch"] = self.accelerator.gather(torch.as_tensor(counts.tool)).sum()
        self._metrics[mode]["hdpo/qualifying"].append((everyone.tool != 0).float().mean().item())
        return output

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        mode = "train" if self.model.training else "eval"
        mask = _mask(inputs)
        completion = inputs["completion_ids"]
        media = {name: inputs.get(name) for name in _MEDIA}
        logprobs, entropies, auxiliary = self._get_per_token_logps_and_entropies(
            model,
            torch.cat([inputs["prompt_ids"], completion], dim=1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            completion.size(1),
            compute_entropy=True,
            compute_aux_loss=self.aux_loss_enabled,
            **media,
        )
        # without these the policy has not changed since it wrote
        old = inputs.get("old_per_token_logps")
        found = hdpo_loss(
            logprobs,
            logprobs.detach() if old is None else old,
            Channels(inputs["advantages"], inputs["tool_advantages"]),
            mask,
            self._loss_settings,
            normaliser=self._window(inputs, mode),
            reference_logprobs=inputs.get("ref_per_token_logps"),
            weights=inputs.get("importance_sampling_ratio"),
        )
        steps = self.current_gradient_accumulation_steps if mode == "train" else 1
        # TRL takes the mean over micro-batches, of what adds up over them
        figures = {f"hdpo/{name}": value.detach() * steps for name, value in found._asdict().items()}
        figures["entropy"] = (entropies * mask).sum() / mask.sum().clamp(min=1)
        for name, value in figures.items():
            self._metrics[mode][name].append(self.accelerator.gather(value).mean().item())
        loss = found.loss
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * auxiliary / steps
        return loss

    def _window(self, inputs: dict[str, Any], mode: str) -> TokenCounts:
        """Tokens that one step of the optimiser learns from: those of the generated batch, shared among its steps."""
        share = 1 / self.accelerator.num_processes
        if mode == "train":
            share *= self.current_gradient_accumulation_steps / self.args.steps_per_generation
        return TokenCounts(inputs["num_items_in_batch"] * share, inputs["tool_items_in_batch"] * share)


def always(completions: Sequence[Any], **_: Any) -> list[float]:
    """1 for every completion."""
    return [1.0] * len(completions)


def tool_messages(completions: Sequence[Any], **_: Any) -> list[float]:
    """Dispatched calls of each completion: TRL answers every one, failed ones too, with a tool message.

    Raises:
        HdpoInputError: completions are plain text, in which calls cannot be told.
    """
    if any(isinstance(completion, str) for completion in completions):
        raise HdpoInputError("completions are plain text: give HdpoTrainer a function that counts their tool calls")
    return [float(sum(message["role"] == "tool" for message in completion)) for completion in completions]


_MEDIA = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""Inputs of vision-language models that TRL hands on."""


def _mask(inputs: dict[str, Any]) -> torch.Tensor:
    mask: torch.Tensor = inputs["completion_mask"]
    return mask * inputs["tool_mask"] if "tool_mask" in inputs else mask


def _check(args: GRPOConfig) -> None:
    for name, value in _FIXED.items():
        found = getattr(args, name, value)
        if found != value:
            raise HdpoInputError(f"GRPOConfig's {name} is {found!r}: HDPO's loss needs {value!r}")
    if args.scale_rewards not in ("group", "none"):
        raise HdpoInputError(f"GRPOConfig's scale_rewards is {args.scale_rewards!r}: HDPO needs 'group' or 'none'")
    if args.beta and args.use_bias_correction_kl:
        raise HdpoInputError(f"GRPOConfig's beta is {args.beta}: HDPO also needs use_bias_correction_kl=False")
