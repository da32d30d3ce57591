"""The characters of an answer in one form: ASCII digits and punctuation, no invisible marks, no markup."""

from __future__ import annotations

import html
import re

# Full-width ASCII and the ideographic comma, stop and space; NFKC would also turn 5² into 52.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x3001: 0x2C, 0x3002: 0x2E}
# Zero-width marks, the byte-order mark, direction marks and the soft hyphen.
_INVISIBLE = dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F)))
_ASCII = str.maketrans(_WIDE | _INVISIBLE | {0xA0: " "})
_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-fA-F]{1,6}|[A-Za-z]{2,8});")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|boxed)\s{0,3}\{([^{}]*)\}", re.DOTALL)
# Two stars between figures are a power.
_MARKUP = re.compile(r"(?<![0-9)])\*\*|\*\*(?![0-9(])|__|[$`]|\\[()\[\]]")


def plain(text: str) -> str:
    """`text` with ASCII digits and punctuation, HTML entities resolved and invisible marks gone."""
    if "&" in text:
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return text if text.isascii() else text.translate(_ASCII)


def unwrap(text: str) -> str:
    r"""`text` without `\text{…}` and its like around its parts, three deep."""
    for _ in range(3):
        if "\\" not in text:
            break
        text = _WRAPPER.sub(r"\1", text)
    return text


def clean(text: str) -> str:
    """`text` with ASCII punctuation and without LaTeX and Markdown around its parts."""
    return _MARKUP.sub("", unwrap(plain(text))).strip()
