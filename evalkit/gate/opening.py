"""From what a user names as a baseline to the baseline."""

from __future__ import annotations

from pathlib import Path

from evalkit.baselines import published
from evalkit.errors import DataError, one_line, unknown
from evalkit.gate.archive import read_archive
from evalkit.gate.baseline import PREFIX, PUBLISHED, Baseline, Means, samples_of
from evalkit.runs.folder import INFO


def open_baseline(text: str | Path) -> Baseline:
    """A baseline as the user names it.

    Args:
        text: a run folder, a file that `save_baseline` wrote, or "published:MODEL" or "published:MODEL@SOURCE".

    Raises:
        EvalkitError: there is none of that name, or it cannot be read.
    """
    name = str(text)
    if name.startswith(PREFIX):
        return _means(name)
    place = Path(text)
    try:
        folder, file = place.is_dir(), place.is_file()
    except OSError as error:
        raise DataError(f"baseline {one_line(name, 200)}: {error.strerror or one_line(error)}") from error
    if folder:
        return samples_of(place)
    if file:
        return samples_of(place.parent) if place.name == INFO else read_archive(place)
    raise DataError(
        f"baseline {one_line(name, 200)}: there is no such run folder or file; evalkit baselines lists published "
        "figures, written published:MODEL"
    )


def _means(name: str) -> Means:
    model, _, source = name.removeprefix(PREFIX).partition("@")
    known = published()
    figures = known.of(model)
    if not figures:
        raise unknown("published model", model, {figure.model for figure in known.figures}, "evalkit baselines")
    if source:
        sources = {one for figure in figures for one in figure.sources}
        if source not in sources:
            raise unknown(f"source of {one_line(model, 60)}", source, sources, "evalkit baselines")
        figures = [figure for figure in figures if source in figure.sources]
    return Means(name=name, kind=PUBLISHED, model=model, source=source, figures=tuple(figures))
