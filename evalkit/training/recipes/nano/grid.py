"""What the study trains: settings that put the paper's argument to the test, and rewards to compare in them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from evalkit.training.config import Method, PolicySettings

SEEDS = 5
TRAINING_SEED = 2_000_000
"""First board of training; the held-out ones are the task's own default."""


class Start(StrEnum):
    """The policy that a training begins with."""

    LEAN = "lean"
    """metis-nano-sft as shipped: it calls nearly always, a little less where it can do without."""
    BLIND = "blind"
    """The same, taught to call as often where it need not: nothing tells it yet when."""
    REPEAT = "repeat"
    """As blind, and it makes the same call up to four times."""
    WIDE = "wide"
    """The first, taught to compute too."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where policies are trained.

    Attributes:
        name: short.
        says: what is special about it.
        start: see `Start`.
        level: of panel_probe.
        options: further options of the task.
    """

    name: str
    says: str
    start: Start
    level: int
    options: dict[str, str] = {}


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """What policies are trained for.

    Attributes:
        name: short.
        method: see `Method`.
        weight: of the tool channel (HDPO), or the penalty a call (coupled).
        divide: divide advantages by the group's standard deviation.
        all_tokens: the tool channel's mean is over all tokens, not over those of rollouts with a tool advantage.
    """

    name: str
    method: Method
    weight: float = 0.0
    divide: bool = True
    all_tokens: bool = False


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One training of the study."""

    setting: Setting
    variant: Variant
    seed: int

    @property
    def name(self) -> str:
        """Of its result's file."""
        return f"{self.setting.name}--{self.variant.name}--{self.seed}"

    def settings(self, steps: int) -> PolicySettings:
        """Of its training."""
        return PolicySettings(
            method=self.variant.method,
            steps=steps,
            lr=2e-4,
            w_tool=self.variant.weight if self.variant.method is Method.HDPO else 0.0,
            penalty=self.variant.weight if self.variant.method is Method.COUPLED else 0.0,
            divide=self.variant.divide,
            tool_tokens="all" if self.variant.all_tokens else "qualifying",
            resample=0,
            seed=self.seed,
        )

    def options(self, **more: Any) -> dict[str, str]:
        """Of its task."""
        return {"level": str(self.setting.level), **self.setting.options, **{k: str(v) for k, v in more.items()}}


CROP = Setting(
    name="crop",
    says="a crop is needed or not, and always tells; half of the questions need it",
    start=Start.LEAN,
    level=1,
)
FAINT = Setting(
    name="faint",
    says="shapes of any size, more or less faint: neither looking nor cropping is always right",
    start=Start.LEAN,
    level=2,
)
BLIND = Setting(
    name="blind", says="as crop, from a start whose calls do not depend on the question", start=Start.BLIND, level=1
)
REPEAT = Setting(
    name="repeat", says="as blind, from a start that makes the same call up to four times", start=Start.REPEAT, level=1
)
MIXED = Setting(name="mixed", says="a crop, a computation or neither is needed", start=Start.WIDE, level=3)
SETTINGS = (CROP, FAINT, BLIND, REPEAT, MIXED)

GRPO = Variant(name="grpo", method=Method.GRPO)
MILD = Variant(name="coupled-0.05", method=Method.COUPLED, weight=0.05)
HARD = Variant(name="coupled-0.5", method=Method.COUPLED, weight=0.5)
HDPO = Variant(name="hdpo-0.15", method=Method.HDPO, weight=0.15)
VARIANTS = (GRPO, MILD, HARD, HDPO)
UNDIVIDED = tuple(
    Variant(name=f"{kind.name}-undivided", method=kind.method, weight=kind.weight, divide=False)
    for kind in (GRPO, MILD, HDPO)
)
ALL_TOKENS = Variant(name="hdpo-0.15-all-tokens", method=Method.HDPO, weight=0.15, all_tokens=True)
MORE = {FAINT.name: (*UNDIVIDED, ALL_TOKENS), BLIND.name: (ALL_TOKENS,)}
"""Further variants, where the usual ones turned out to differ."""

SHARES = (0.1, 0.35, 0.65, 0.9)
TOOL_WEIGHTS = (0.05, 0.15, 0.5)
PENALTIES = (0.01, 0.05, 0.2)
PHASE_SEEDS = 3
"""A cell of the diagram ends in one of few states, so that one training says little of it."""


def table(seeds: int = SEEDS) -> Iterator[Trial]:
    """Every reward in every setting, and further variants in some."""
    for seed in range(seeds):
        for setting in SETTINGS:
            for variant in (*VARIANTS, *MORE.get(setting.name, ())):
                yield Trial(setting=setting, variant=variant, seed=seed)


def phase(seeds: int = PHASE_SEEDS) -> Iterator[Trial]:
    """The weight against the share of questions that need the tool, from the blind start."""
    weights = [Variant(name=f"hdpo-{w:g}", method=Method.HDPO, weight=w) for w in TOOL_WEIGHTS]
    weights += [Variant(name=f"coupled-{w:g}", method=Method.COUPLED, weight=w) for w in PENALTIES]
    for seed in range(seeds):
        for share in SHARES:
            setting = Setting(
                name=f"share-{share:g}",
                says=f"as blind, {share:.0%} of the questions need the tool",
                start=Start.BLIND,
                level=1,
                options={"tiny_share": str(share)},
            )
            for variant in weights:
                yield Trial(setting=setting, variant=variant, seed=seed)
