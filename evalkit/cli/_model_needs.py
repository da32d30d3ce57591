"""What a model card needs, in words: the machine, its tools and their providers, and a judge."""

from __future__ import annotations

from collections.abc import Iterator

from evalkit.models import ModelCard
from evalkit.models.tools import Provider, tools_of

_PROVIDERS = {
    Provider.SANDBOX: " (sandbox)",
    Provider.NOTHING: " (built in)",
    Provider.SEARCH: " (search provider)",
    Provider.SERVER: " (at its server)",
}


def needs(card: ModelCard) -> Iterator[str]:
    """A phrase for each thing; `WORDS` says what they mean."""
    if card.weights.location:
        yield f"GPU: {card.needs.gpu_gb:g} GB" if card.needs.gpu_gb else "GPU: none"
    elif card.served.model:
        where = " or ".join(filter(None, ("--base-url", card.served.base_url_env)))
        key = f", key in {card.served.api_key_env}" if card.served.api_key_env else ""
        yield f"GPU: none here, its authors' server ({where}{key})"
    by: dict[Provider, list[str]] = {}
    for tool in tools_of(card):
        by.setdefault(tool.provider, []).append(tool.name)
    tools = [f"{_listed(names)}{_PROVIDERS[provider]}" for provider, names in by.items()]
    yield f"tools: {', '.join(tools) or 'none'}"
    if card.published:
        yield f"judge of its published figures: {card.needs.judge}"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


WORDS = (
    "search provider: --search and --image-search name one; without it the tool is not offered to the model, which is "
    "said at the start of a run and in its report",
    "judge: what scored the figures that its authors published; model is a language model, for some of them at least, "
    "and --judge-url adds one. Evalkit's own rules score every task without",
)
