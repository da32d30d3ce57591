"""How long a run takes to become an Inspect log and to come back, and what memory that takes.

The run is made up: each trajectory has an image of its own of 1024 x 768 pixels, 1.3 tool calls on average, and a crop
of 256 x 256 pixels as the result of each call. Each step is a process of its own, so that its memory is its own.

usage: python benchmarks/inspect_bridge.py [--rows 5000] [--images thumbnails]
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace
from PIL import Image

from benchmarks.analysis import record
from evalkit.bridges.inspect.pictures import Pictures
from evalkit.images import ImageFile
from evalkit.records import Record
from evalkit.runs.folder import RunInfo, write_info
from evalkit.runs.store import RunStore

SIZE, CROP = (1024, 768), (256, 256)
DRAWN = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--images", type=Pictures, default=Pictures.THUMBNAILS)
    parser.add_argument("--step", choices=("export", "import"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        measure(options.step, options.folder, options.images)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_run(folder / "run", options.rows)
        for step in ("export", "import"):
            command = [sys.executable, __file__, "--step", step, "--folder", place, "--images", str(options.images)]
            subprocess.run(command, check=True)


def measure(step: str, folder: Path, images: Pictures) -> None:
    """One step's time and memory."""
    clock = time.perf_counter()
    from evalkit.bridges.inspect.installed import require

    version = require()
    loaded = time.perf_counter() - clock
    clock, used = time.perf_counter(), time.process_time()
    log = folder / "run.eval"
    if step == "export":
        from evalkit.bridges.inspect.write import write_logs
        from evalkit.runs.folder import read_info

        written = list(write_logs(folder / "run", read_info(folder / "run"), log, images, version))
        what = f"{written[0].rows} trajectories, {log.stat().st_size / 1e6:.0f} MB"
    else:
        from evalkit.bridges.imported import write_imported
        from evalkit.bridges.inspect.read import read_log

        _, info, _ = write_imported(folder / "back", read_log(log), [log])
        what = f"{info.expected_rows} rows"
    seconds, processor = time.perf_counter() - clock, time.process_time() - used
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{step}: {seconds:6.1f} s ({processor:.1f} s of a processor), most memory {memory:.0f} MB; {what}")
    print(f"{'':7}{loaded:6.1f} s before, to load inspect_ai {version}")


def make_run(folder: Path, rows: int) -> None:
    """Write the run folder."""
    folder.mkdir(parents=True)
    rng = random.Random(0)
    big, small = ([drawn(rng, size) for _ in range(DRAWN)] for size in (SIZE, CROP))
    config = {
        "model": {"name": "model"},
        "task": {"name": "task"},
        "engine": "vllm",
        "protocol": {"name": "metis", "tools": ["python"]},
    }
    write_info(folder, RunInfo(evalkit="0", created="2026-01-01T00:00:00Z", config=config, config_hash="0" * 16,
                               expected_rows=rows))  # fmt: skip
    with RunStore(folder) as store:
        for row in range(rows):
            store.append(with_images(record(rng, row), rng, big, small))


def with_images(made: Record, rng: random.Random, big: list[bytes], small: list[bytes]) -> Record:
    """A drawn record with images that no other has."""
    turns = tuple(
        replace(turn, observations=tuple(replace(seen, images=(unlike(rng.choice(small), f"{made.sample.id}.{index}"),))
                                         for seen in turn.observations))
        for index, turn in enumerate(made.trajectory.turns)
    )  # fmt: skip
    return replace(
        made,
        sample=replace(made.sample, images=(unlike(rng.choice(big), made.sample.id),)),
        trajectory=replace(made.trajectory, turns=turns),
    )


def drawn(rng: random.Random, size: tuple[int, int]) -> bytes:
    """A JPEG with as much in it as a photograph."""
    width, height = size
    noise = Image.frombytes("RGB", (width // 8, height // 8), rng.randbytes(width // 8 * (height // 8) * 3))
    buffer = io.BytesIO()
    noise.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def unlike(data: bytes, name: str) -> ImageFile:
    """A copy of an encoded image with another digest."""
    return ImageFile.from_bytes(data + name.encode())


if __name__ == "__main__":
    main()
