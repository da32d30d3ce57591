"""How `evalkit export` calls each format's writer, and what it says of the result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evalkit.bridges.inspect.pictures import Pictures
from evalkit.errors import EvalkitError, one_line
from evalkit.runs.folder import INFO, read_info

_NAMED = 3


def export_inspect(run: Path, out: Path, pictures: Pictures) -> Iterator[str]:
    """Logs of Inspect AI; a line for each.

    Raises:
        EvalkitError: the name has another ending, Inspect is missing, or the run cannot be read or the log written.
    """
    info = read_info(run)
    _check_name(out, ".eval")
    from evalkit.bridges.inspect.installed import changed, require

    version = require()
    try:
        from evalkit.bridges.inspect.write import write_logs
    except ImportError as error:
        raise changed(version, error) from error

    for log in write_logs(run, info, out, pictures, version):
        yield f"{log.file}: {_rows(log.rows)} of arm {log.arm}, {log.file.stat().st_size / 1e6:.1f} MB"
        if log.missing:
            why = one_line("; ".join(list(log.missing.values())[:_NAMED]), 300)
            yield f"warning: {len(log.missing)} images of arm {log.arm} could not be read; texts stand in place: {why}"


def export_lmms(run: Path, out: Path) -> Iterator[str]:
    """A sample log of lmms-eval.

    Raises:
        EvalkitError: the name has another ending, or the run cannot be read or the log written.
    """
    _check_name(out, ".jsonl")
    _check_apart(out, out.parent)
    from evalkit.bridges.lmms.logs import write_samples

    write_samples(run, out)
    with out.open("rb") as log:
        lines = sum(1 for _ in log)
    yield f"{out}: {_rows(lines)}"


def export_parquet(run: Path, out: Path) -> Iterator[str]:
    """A Hugging Face data set.

    Raises:
        EvalkitError: the run cannot be read, or the folder written.
    """
    _check_apart(out, out)
    from evalkit.bridges.parquet import write_parquet

    made = write_parquet(run, out)
    yield f"{out}: {_rows(made.rows)}, {made.images} images; datasets.load_dataset({str(out)!r}) reads it"


def _check_name(out: Path, suffix: str) -> None:
    if out.suffix != suffix:
        raise EvalkitError(f"--out {one_line(out, 200)}: the name must end in {suffix}")
    if not out.parent.is_dir():
        raise EvalkitError(f"--out {one_line(out, 200)}: there is no folder {one_line(out.parent, 200)}; make it first")


def _check_apart(out: Path, folder: Path) -> None:
    """A run's own `samples.jsonl` would be lost, and its folder be no data set."""
    if (folder / INFO).exists():
        raise EvalkitError(f"--out {one_line(out, 200)}: {one_line(folder, 200)} is a run folder; name another place")


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"
