"""The examples of docs/scale: what they would run, with stand-ins for the commands of a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

EXAMPLES = ROOT / "docs" / "scale"
SCRIPTS = sorted(EXAMPLES.glob("*.sh"))
NOTES = """#!/bin/bash
echo "{name} $*" >> "$NOTES"
"""
# runs what it is handed as each task of the array would, and says a job's number
SBATCH = """#!/bin/bash
echo "sbatch $*" >> "$NOTES"
[[ " $* " == *" --parsable "* ]] && echo 4711
script=()
for word in "$@"; do [[ $word == --* ]] || script+=("$word"); done
if [[ $* == *--array=1-3* ]]; then
    for n in 1 2 3; do SLURM_ARRAY_TASK_ID=$n bash "${script[@]}"; done
else
    bash "${script[@]}"
fi
"""
SRUN = """#!/bin/bash
echo "srun $*" >> "$NOTES"
while [[ ${1:-} == -* ]]; do if [[ $1 == -w ]]; then shift 2; else shift; fi; done
[[ $1 == hostname ]] && { echo 10.0.0.1 fd00::1; exit; }
[[ $1 == ray && $2 == start ]] && exec sleep 60
exec "$@"
"""
# a node is there as soon as it is started
RAY = """#!/bin/bash
echo "ray $*" >> "$NOTES"
if [[ $1 == status ]]; then grep 'ray start' "$NOTES" | sed 's/.*/ 1 node_0a/'; fi
"""
SCONTROL = "#!/bin/bash\nprintf 'node-1\\nnode-2\\n'\n"

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def stand_ins(tmp_path: Path) -> dict[str, str]:
    """An environment in which the cluster's commands only note how they are called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    texts = {"evalkit": NOTES.format(name="evalkit"), "ray": RAY}
    texts |= {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL}
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    runs = tmp_path / "runs"
    runs.mkdir()
    own = {"PATH": f"{folder}:{os.environ['PATH']}", "NOTES": str(tmp_path / "notes"), "RUNS": str(runs)}
    return {**os.environ, **own, "MODEL": "metis", "TASKS": "hrbench_4k"}


def noted(environment: dict[str, str], name: str) -> list[str]:
    lines = Path(environment["NOTES"]).read_text().splitlines()
    return [line for line in lines if line.startswith(f"{name} ")]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_read_by_bash(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False).stderr == ""


def test_shards_are_an_array_and_a_merge_after_it(stand_ins: dict[str, str]) -> None:
    stand_ins["SHARDS"] = "3"
    script = EXAMPLES / "slurm-shards.sh"
    subprocess.run(["bash", script], env=stand_ins, check=True, timeout=60, stdin=subprocess.DEVNULL)
    array, merge = noted(stand_ins, "sbatch")
    assert "--array=1-3 " in array
    assert "--dependency=afterok:4711 " in merge
    runs = stand_ins["RUNS"]
    *shards, joined = noted(stand_ins, "evalkit")
    assert [re.findall(r"--shard (\S+) --run-dir (\S+)", line) for line in shards] == [
        [(f"{n}/3", f"{runs}/shard-{n}")] for n in (1, 2, 3)
    ]
    assert joined == f"evalkit merge {runs}/shard-1 {runs}/shard-2 {runs}/shard-3 --run-dir {runs}/whole"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_what_is_missing_is_said(script: Path, stand_ins: dict[str, str]) -> None:
    del stand_ins["MODEL"]
    done = subprocess.run(["bash", script], env=stand_ins, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "MODEL: a model card" in done.stderr
    assert not Path(stand_ins["NOTES"]).exists()


def test_ray_on_slurm_starts_every_node_and_clears_up(stand_ins: dict[str, str]) -> None:
    slurm = {"SLURM_JOB_NODELIST": "node-[1-2]", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "4"}
    slurm |= {"SLURM_CPUS_PER_TASK": "32", "TENSOR_PARALLEL": "2"}
    script = EXAMPLES / "slurm-ray.sh"
    done = subprocess.run(
        ["bash", script], env={**stand_ins, **slurm}, check=False, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0
    started = [line for line in noted(stand_ins, "srun") if "ray start" in line]
    assert len(started) == 2
    assert "-w node-1 " in started[0]
    assert "--head --node-ip-address=10.0.0.1 --port=6379" in started[0]
    assert "-w node-2 " in started[1]
    assert "--address=10.0.0.1:6379" in started[1]
    (run,) = noted(stand_ins, "evalkit")
    assert "--ray 10.0.0.1:6379 --replicas 4 " in run
    assert "--tensor-parallel 2 " in run
    # the token of the cluster is gone with it
    assert list(Path(stand_ins["RUNS"]).iterdir()) == []


def test_ray_on_slurm_hands_on_the_exit_code(stand_ins: dict[str, str]) -> None:
    Path(stand_ins["PATH"].split(":")[0], "evalkit").write_text("#!/bin/bash\nexit 3\n")
    slurm = {"SLURM_JOB_NODELIST": "node-[1-2]", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "32"}
    script = EXAMPLES / "slurm-ray.sh"
    done = subprocess.run(
        ["bash", script], env={**stand_ins, **slurm}, check=False, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 3


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text()))


def test_kubernetes_shards_count_as_evalkit_does(stand_ins: dict[str, str]) -> None:
    shards, merge = documents("kubernetes-shards.yaml")
    spec = shards["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    number = int({each["name"]: each["value"] for each in container["env"]}["SHARDS"])
    assert spec["completions"] == spec["parallelism"] == number
    for index in range(number):
        asked = {**stand_ins, "SHARDS": str(number), "JOB_COMPLETION_INDEX": str(index)}
        subprocess.run(container["command"], env=asked, check=True, timeout=60)
    found = [re.findall(r"--shard (\S+) --run-dir (\S+)", line) for line in noted(stand_ins, "evalkit")]
    assert found == [[(f"{n}/{number}", f"/runs/hr4k/shard-{n}")] for n in range(1, number + 1)]
    (joining,) = merge["spec"]["template"]["spec"]["containers"]
    assert "evalkit merge /runs/hr4k/shard-* --run-dir /runs/hr4k/whole" in joining["command"][-1]


def test_the_ray_job_asks_for_the_replicas_it_has_gpus_for() -> None:
    (job,) = documents("kuberay-rayjob.yaml")
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    gpus = group["replicas"] * int(worker["resources"]["limits"]["nvidia.com/gpu"])
    assert f"--replicas {gpus} " in job["spec"]["entrypoint"]
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
