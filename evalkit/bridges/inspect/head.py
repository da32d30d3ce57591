"""What a log says before its rows: the run, its task, its model and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
from inspect_ai.log import EvalConfig, EvalDataset, EvalPlan, EvalPlanStep, EvalSpec
from inspect_ai.model import GenerateConfig

from evalkit.bridges.inspect.installed import KEY, model_name
from evalkit.bridges.inspect.pictures import Pictures
from evalkit.records import AGENT, RECORD_VERSION
from evalkit.runs.folder import RunInfo
from evalkit.runs.lines import latest_lines
from evalkit.version import __version__


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: str


class Key(msgspec.Struct, frozen=True, gc=False):
    """What names a line of a run; the rest of it is not looked at."""

    version: int
    sample: _Id
    arm: str = AGENT
    repeat: int = 0


def keys(folder: Path) -> dict[str, list[Key]]:
    """What names each trajectory of a run, by arm.

    Raises:
        DataError: a line is corrupt.
    """
    found: dict[str, list[Key]] = {}
    for _, key in latest_lines(folder, msgspec.json.Decoder(Key).decode):
        found.setdefault(key.arm, []).append(key)
    return found


class Head(NamedTuple):
    """What one log is of.

    Attributes:
        info: the run's.
        arm: whose rows it has.
        keys: of its rows.
        pictures: which images go into it.
    """

    info: RunInfo
    arm: str
    keys: list[Key]
    pictures: Pictures

    @property
    def rows(self) -> int:
        """Rows of the benchmark; in another arm than the agent's, those that were asked."""
        return self.info.expected_rows if self.arm == AGENT else len({key.sample.id for key in self.keys})

    @property
    def epochs(self) -> int:
        """The most tries of a row."""
        return 1 + max(key.repeat for key in self.keys)

    def spec(self) -> EvalSpec:
        """As Inspect has it."""
        info, config = self.info, self.info.config
        task, sampling = config["task"], config.get("sampling") or {}
        name, hub = str(task["name"]), task.get("dataset")
        return EvalSpec(
            eval_id=f"{info.config_hash}.{self.arm}",
            run_id=info.config_hash,
            task_id=f"{info.config_hash}.{self.arm}",
            created=info.created,
            task=name if self.arm == AGENT else f"{name} ({self.arm})",
            task_version=task.get("version") or 0,
            task_args={str(option): value for option, value in (task.get("options") or {}).items()},
            dataset=EvalDataset(
                name=name,
                location=str(hub["id"]) if isinstance(hub, dict) and "id" in hub else None,
                samples=self.rows,
                sample_ids=list(dict.fromkeys(key.sample.id for key in self.keys)),
            ),
            model=model_name(str(config["model"]["name"])),
            model_generate_config=GenerateConfig(
                temperature=sampling.get("temperature"), top_p=sampling.get("top_p"), seed=sampling.get("seed")
            ),
            config=EvalConfig(epochs=self.epochs),
            packages={"evalkit": info.evalkit},
            metadata={
                KEY: {
                    "version": __version__,
                    "records": RECORD_VERSION,
                    "task": name,
                    "arm": self.arm,
                    "images": str(self.pictures),
                    "expected_rows": self.rows,
                    "system_prompt": info.system_prompt,
                    "notes": info.notes,
                    "config": config,
                }
            },
        )

    def plan(self) -> EvalPlan:
        """The agent's protocol, as the one step of a plan."""
        protocol = (self.info.config.get("protocol") or {}).get("name")
        return EvalPlan(steps=[EvalPlanStep(solver=f"evalkit/{protocol}")] if protocol else [])
