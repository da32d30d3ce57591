"""Options that many verbs have: where tasks and their rows come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def revision_option(panel: str | None = None) -> Any:
    """`--revision`, under a heading of the help."""
    return typer.Option("--revision", rich_help_panel=panel, help="Commit or tag of the hub data set.")


def task_dir_option(panel: str | None = None) -> Any:
    """`--task-dir`, likewise."""
    return typer.Option("--task-dir", rich_help_panel=panel, help="Folder with further tasks (repeatable).")


def task_setting_option(panel: str | None = None, *others: str) -> Any:
    """`--task-option`, likewise, and its `others` names."""
    return typer.Option(
        "--task-option", *others, "-T", rich_help_panel=panel, help="Task option, name=value (repeatable)."
    )


TaskDirs = Annotated[list[Path] | None, task_dir_option()]
