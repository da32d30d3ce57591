"""`evalkit models`: which agents are known, where their weights come from, and what each needs to run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from evalkit.models import ModelCard


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("models")(models)


def models(
    name: Annotated[str, typer.Argument(help="Show this card whole.")] = "",
) -> None:
    """List the model cards, with what each needs; or show one whole, with its quirks and published figures."""
    from evalkit.cli._console import Console, plain
    from evalkit.cli._model_needs import WORDS, needs
    from evalkit.models import cards, find_card

    console = Console()
    if name:
        for line in _card_lines(find_card(name)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    for card in cards().values():
        console.print(f"[bold]{plain(card.name)}[/bold]: {plain(_traits(card))}", highlight=False)
        console.print(f"  {card.summary}", markup=False, highlight=False)
        count = len(card.unknown)
        unknown = [f"unknown: {count} {'fact' if count == 1 else 'facts'}"] if count else []
        console.print(f"  {'; '.join([*needs(card), *unknown])}", markup=False, highlight=False)
    for line in WORDS:
        console.print(line, markup=False, highlight=False)
    console.print(
        "evalkit models NAME shows a card whole: which facts are unknown, how it knows the others, and which quirks of "
        "the authors' code --faithful follows. --model also takes a folder of weights, a hub id (owner/name), a card "
        "file (YAML), or any served model with --engine openai --base-url URL.",
        markup=False,
    )


def _traits(card: ModelCard) -> str:
    """Protocol and weights, on one line."""
    from evalkit.agents.protocols import PROTOCOLS

    traits = [f"protocol {card.protocol}" + ("" if card.protocol in PROTOCOLS else " (missing in this version)")]
    if card.weights.hub:
        traits.append(card.weights.hub)
    if card.weights.size_gb:
        traits.append(f"{card.weights.size_gb:g} GB")
    if card.served.model:
        traits.append(f"served by its authors as {card.served.model}")
    elif card.weights.folder:
        traits.append("shipped with evalkit")
    return ", ".join(traits)


def _card_lines(card: ModelCard) -> Iterator[str]:
    """The card as YAML, then what it needs, its protocol's quirks, and what is published of the model."""
    import msgspec
    import yaml

    from evalkit.agents.protocols import PROTOCOLS
    from evalkit.baselines import published
    from evalkit.cli._model_needs import needs

    yield yaml.safe_dump(msgspec.to_builtins(card), sort_keys=False, allow_unicode=True, width=100).rstrip()
    yield "needs:"
    for line in needs(card):
        yield f"  {line}"
    if card.protocol in PROTOCOLS and (quirks := PROTOCOLS[card.protocol].quirks):
        yield "quirks of the authors' own evaluation, each off unless --faithful or --quirk NAME follows it:"
        for name, what in quirks.items():
            yield f"  {name}: {what}"
    figures = published().of(card.published)
    if figures:
        yield "published figures (evalkit baselines gives the sources in full):"
    for f in figures:
        note = f"; {f.note}" if f.note else ""
        value = f"{f.value:.1f} %" if f.unit == "%" else f"{f.value:g} {f.unit}"
        yield f"  {f.task} {f.metric}: {value} ({', '.join(f.sources)}; sampling {f.regime}{note})"
