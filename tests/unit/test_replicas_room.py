"""What replicas ask of a cluster, how many fit, and what is refused before anything starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

import evalkit.replicas.folder as folder
import evalkit.replicas.room as room
from evalkit.errors import EvalkitError, InfrastructureError
from evalkit.models import ModelCard, find_card
from evalkit.models.card import Needs, VllmArgs, Weights
from evalkit.replicas import fleet_problems
from evalkit.replicas.cluster import RayCluster
from evalkit.replicas.room import Ask, Node, asked_of, threads, wanted
from evalkit.runs.setup import EngineSettings
from tests.conftest import Cli

VLLM = ModelCard(
    name="big", engine="vllm", weights=Weights(hub="a/b"), needs=Needs(gpu_gb=60), vllm=VllmArgs(tensor_parallel=4)
)
SMALL = ModelCard(name="small", engine="transformers", weights=Weights(hub="a/b"))
SCRIPTED = ModelCard(name="scripted", engine="scripted")
GPUS = [Node(name="a", cpus=32, gpus=8), Node(name="b", cpus=32, gpus=8)]
CPUS = [Node(name="a", cpus=16), Node(name="b", cpus=8)]


@pytest.mark.parametrize(
    ("card", "device", "nodes", "replicas", "ask", "count"),
    [
        (VLLM, "auto", GPUS, None, Ask(cpus=1, gpus=4), 4),
        (VLLM, "auto", GPUS, 3, Ask(cpus=1, gpus=4), 3),
        (SMALL, "auto", GPUS, None, Ask(cpus=1, gpus=1), 16),
        (SMALL, "cpu", GPUS, 4, Ask(cpus=16), 4),
        (SMALL, "auto", CPUS, None, Ask(cpus=8), 2),
        (SMALL, "auto", CPUS, 4, Ask(cpus=4), 4),
        (SCRIPTED, "auto", GPUS, 5, Ask(cpus=1), 5),
        (SCRIPTED, "auto", GPUS, None, Ask(cpus=1), 2),
    ],
)
def test_what_a_replica_takes_and_how_many_there_are(
    card: ModelCard, device: str, nodes: list[Node], replicas: int | None, ask: Ask, count: int
) -> None:
    assert asked_of(card, EngineSettings(device=device), nodes, replicas) == ask
    assert wanted(ask, nodes, replicas) == count


@pytest.mark.parametrize(
    ("ask", "nodes", "count"),
    [
        (Ask(cpus=1, gpus=1), GPUS, 4),
        (Ask(cpus=1, gpus=4), GPUS, 4),
        (Ask(cpus=1, gpus=1), [*GPUS, Node(name="head", cpus=2)], 4),
        (Ask(cpus=1, gpus=1), [Node(name="a", cpus=4, gpus=8)], 1),
        (Ask(cpus=4), CPUS, 4),
        (Ask(cpus=1), [], 1),
    ],
)
def test_a_replica_computes_on_its_share_of_the_processors(ask: Ask, nodes: list[Node], count: int) -> None:
    assert threads(ask, nodes) == count


@pytest.mark.parametrize(
    ("ask", "nodes", "replicas", "said"),
    [
        (Ask(cpus=1, gpus=4), GPUS, 5, "--replicas 5: 5 x 4 GPUs are asked for, and 4 fit: the cluster has a: 32 CPUs"),
        (
            Ask(cpus=1, gpus=16),
            GPUS,
            None,
            "no machine has more than 8 (a: 32 CPUs, 8 GPUs; b: 32 CPUs, 8 GPUs); a",
        ),
        (Ask(cpus=1, gpus=16), GPUS, 1, "vllm serve can spread it: then --engine openai --base-url URL"),
        (Ask(cpus=1, gpus=1), CPUS, 1, "a replica takes 1 GPU of one machine, and no machine has more than 0"),
        (Ask(cpus=8), CPUS, 4, "--replicas 4: 4 x 8 CPU are asked for, and 3 fit"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_there(
    ask: Ask, nodes: list[Node], replicas: int | None, said: str
) -> None:
    with pytest.raises(EvalkitError) as refused:
        wanted(ask, nodes, replicas)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_has_no_replicas_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def problems(card: ModelCard, **settings: Any) -> str:
        return "\n".join(fleet_problems(card, EngineSettings(**settings)))

    monkeypatch.setattr(room, "find_spec", lambda name: None)
    assert problems(SCRIPTED) == "--replicas and --ray need Ray: pip install 'evalkit[ray]'"
    monkeypatch.setattr(room, "find_spec", lambda name: name)
    assert problems(SCRIPTED) == problems(VLLM) == ""
    served = msgspec.structs.replace(SCRIPTED, engine="openai")
    assert "its servers are the replicas, repeat --base-url" in problems(served)
    assert "repeat --base-url" in problems(served, serve=True)
    away = msgspec.structs.replace(SMALL, weights=Weights(folder=str(tmp_path / "away")))
    assert "is not on this machine" in problems(away)
    assert not problems(find_card("metis-nano"))


@pytest.mark.parametrize(
    ("address", "kind", "said"),
    [
        ("ray://head:10001", EvalkitError, "give the head's own HOST:PORT, or auto"),
        ("head", EvalkitError, "write HOST:PORT"),
        ("", EvalkitError, "write HOST:PORT"),
        ("head:port", EvalkitError, "write HOST:PORT"),
        ("127.0.0.1:9", InfrastructureError, "--ray 127.0.0.1:9: no Ray cluster is there"),
        ("127.0.0.1:99999999", InfrastructureError, "no Ray cluster is there"),
    ],
)
async def test_an_address_without_a_cluster_is_said_without_waiting(
    address: str, kind: type[EvalkitError], said: str
) -> None:
    cluster = RayCluster(address, None)
    try:
        with pytest.raises(kind) as refused:
            await cluster.open()
    finally:
        await cluster.close()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_folders_that_killed_processes_left_are_removed_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(folder, "_LONGEST_FOLDER", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    held, hold = folder.own_folder()
    names = ("evalkit-ray-left", "evalkit-ray-young", "evalkit-sandbox-x", "outside")
    left, young, other, outside = (tmp_path / name for name in names)
    for each in (left, young, other, outside):
        (each / "r").mkdir(parents=True)
    (tmp_path / "evalkit-ray-link").symlink_to(outside)
    (tmp_path / "evalkit-ray-file").write_text("")
    for each in (held, left, other, outside):
        os.utime(each, (0, 0))
    new, again = folder.own_folder()
    os.close(again)
    there = {each.name for each in tmp_path.iterdir()}
    assert there == {held.name, new.name, *names[1:], "evalkit-ray-link", "evalkit-ray-file"}
    assert (outside / "r").is_dir()
    # held until the last process that has the file ends
    child = os.dup(hold)
    os.close(hold)
    os.close(folder.own_folder()[1])
    assert held.is_dir()
    os.close(child)
    os.close(folder.own_folder()[1])
    assert not held.exists()


def test_servers_are_no_replicas_on_the_command_line(cli: Cli) -> None:
    done = cli(
        *("run", "--tasks", "panel_probe", "--engine", "openai", "--model", "m"),
        *("--base-url", "http://127.0.0.1:9/v1", "--replicas", "2"),
    )
    assert done.returncode == 2
    assert "its servers are the replicas, repeat --base-url for each" in done.stderr
