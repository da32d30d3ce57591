"""What every test may use: small images, a quick task, and the folder of real data where it is at hand."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from PIL import Image

from evalkit import ImageFile

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

# A loaded machine is no failure of the code.
settings.register_profile("evalkit", deadline=None)
settings.load_profile("evalkit")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data beside the checkout."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("the real data (../shared/data) is not beside this checkout")
    return data


@pytest.fixture
def png() -> ImageFile:
    """A 40 x 30 image."""
    return ImageFile.from_pil(Image.new("RGB", (40, 30), (200, 10, 10)), "red.png")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs the real command line as a process, in an empty folder."""

    def call(
        *arguments: object, cwd: Path = tmp_path, file_size: int | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        def limit() -> None:
            if file_size is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        return subprocess.run(
            [sys.executable, "-m", "evalkit", *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "140", "HF_HUB_OFFLINE": "1", **variables},
            capture_output=True,
            text=True,
            timeout=240,
            preexec_fn=limit,
            check=False,
        )

    return call
