"""`evalkit tasks --source lmms`: the tasks of the installed lmms-eval."""

from __future__ import annotations

from collections import Counter

import typer

from evalkit.bridges.lmms.install import installed
from evalkit.bridges.lmms.listing import Listed, listing
from evalkit.cli._console import plain


def show_lmms(name: str) -> None:
    """List the tasks that evalkit can run, or show one task or the members of a group.

    Raises:
        EvalkitError: there is no lmms-eval, or no task called so.
    """
    install = installed()
    found = listing(install)
    if name:
        for task in sorted(found.members(name.removeprefix("lmms:")), key=lambda task: task.name):
            typer.echo(_line(task) + (f"  not run: {task.refusal}" if task.refusal else ""))
        return
    fit = sorted((task for task in found.tasks.values() if not task.refusal), key=lambda task: task.name)
    # no table: there are some thousand of them
    typer.echo("\n".join(map(_line, fit)))
    others = Counter(task.kind for task in found.tasks.values() if task.refusal)
    told = ", ".join(f"{count} {kind}" for kind, count in others.most_common())
    typer.echo(f"lmms-eval {install.version}: {len(fit)} tasks, {len(found.groups)} groups; not run: {told or 'none'}")


def _line(task: Listed) -> str:
    where = " ".join(filter(None, (task.dataset, task.config, task.split)))
    return f"{plain(f'lmms:{task.name}'):<48} {plain(where, 90)}"
