"""What rests on a judge's word, as rows of text."""

from __future__ import annotations

from evalkit.analysis.calibrated import JudgeFigures
from evalkit.analysis.figure import Figure
from evalkit.analysis.judged import Judged
from evalkit.reporting.rows import NONE, FigureRow, share_row


def judged_rows(judged: Judged) -> list[FigureRow]:
    """The judge's rows, accuracy without its errors, and the bounds."""
    failed = f", {judged.undecided} left undecided" if judged.undecided else ""
    asked = judged.decided + judged.undecided
    value = f"{judged.decided} of {judged.scored} rows, {judged.right} right{failed}"
    bounds = f"{judged.worst:.1%} to {judged.best:.1%}"
    return [
        FigureRow("decided by the judge", value, "", str(asked)),
        _row("right of these, corrected", judged.truly_right),
        _row("accuracy, corrected for the judge", judged.corrected),
        FigureRow("accuracy, its rows all wrong or right", bounds, "", str(judged.scored + judged.undecided)),
    ]


def judged_note(judged: Judged | None) -> str:
    """What the correction takes for granted; empty where there is none."""
    if judged is None or judged.corrected.value is None:
        return ""
    return (
        "The correction for the judge takes it to err on this run's rows as often as on the labelled responses of "
        f"{judged.labels}; the bounds take nothing for granted."
    )


def _row(name: str, figure: Figure) -> FigureRow:
    if figure.value is None:
        return FigureRow(name, f"{NONE}: {figure.why}", "", str(figure.n))
    return FigureRow(name, f"{figure.value:.1%}", f"{figure.low:.1%} - {figure.high:.1%}", str(figure.n))


def calibration_rows(figures: JudgeFigures) -> list[FigureRow]:
    """How often a judge errs, says nothing, and is talked round."""
    kappa = figures.kappa
    interval = "" if kappa.low is None or kappa.high is None else f"{kappa.low:.3f} - {kappa.high:.3f}"
    value = f"{NONE}: {kappa.why}" if kappa.value is None else f"{kappa.value:.3f}"
    rows = [
        share_row("agreement", figures.agreement),
        FigureRow("Cohen's kappa", value, interval, str(kappa.n)),
        share_row("false right, of labelled not right", figures.false_right),
        share_row("false wrong, of labelled right", figures.false_wrong),
        FigureRow("unparsable", str(figures.unparsable), "", str(figures.n)),
        FigureRow("unavailable", str(figures.unavailable), "", str(figures.n)),
    ]
    if figures.injected is not None:
        rows.append(share_row("talked round by the response", figures.injected))
        rows.append(FigureRow("unparsable after such an attempt", str(figures.injected_unread), "", ""))
    return rows
