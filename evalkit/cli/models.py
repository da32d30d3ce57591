"""`evalkit models`: which agents are known, where their weights come from, and what keeps them from running."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("models")(models)


def models(
    name: Annotated[str, typer.Argument(help="Show this card whole.")] = "",
) -> None:
    """List the model cards."""
    import msgspec
    from rich.table import Table

    from evalkit.cli._console import Console
    from evalkit.models import cards, find_card

    console = Console()
    if name:
        import yaml

        tree = msgspec.to_builtins(find_card(name))
        console.print(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100), markup=False, end="")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "protocol", "engine", "weights", "needs", "summary"):
        table.add_column(heading, overflow="fold")
    for card in cards().values():
        shipped = "shipped with evalkit" if card.weights.folder else "none"
        size = f" ({card.weights.size_gb:g} GB)" if card.weights.size_gb else ""
        table.add_row(
            card.name,
            card.protocol,
            card.engine,
            f"{card.weights.hub}{size}" if card.weights.hub else shipped,
            f"GPU, {card.needs.gpu_gb:g} GB" if card.needs.gpu_gb else "CPU",
            card.summary,
        )
    console.print(table)
    console.print(
        "Also: a folder of weights, a hub id (owner/name), a card file (YAML), "
        "or any served model with --engine openai --base-url URL.",
        markup=False,
    )
