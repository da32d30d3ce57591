"""Text of unknown origin on its way to a terminal or to a log that acts on what it is told."""

from __future__ import annotations

import os


def inert(text: str) -> str:
    """`text` without what a terminal obeys, line breaks apart; in GitHub Actions also without its commands."""
    if not text.replace("\n", "").isprintable():
        text = "".join(c if c == "\n" or c.isprintable() else " " for c in text)
    if ("::" in text or "##[" in text) and os.environ.get("GITHUB_ACTIONS") == "true":
        # an invisible character within: what reads as one is none
        text = text.replace("::", ":\u200b:").replace("##[", "##\u200b[")
    return text
