"""What metis-nano says: its turns, letter by letter, and the tokens that make them short."""

from __future__ import annotations

PANELS = (
    "top-left", "top-centre", "top-right",
    "middle-left", "centre", "middle-right",
    "bottom-left", "bottom-centre", "bottom-right",
)  # fmt: skip
LETTERS = "ABCD"
MODULUS = 7

_HEAD = '\n{"name": "python", "arguments": {"code": "'
_TAIL = '"}}\n'
_CROP_SIDE = 32
_ENLARGED = 256


def crop_call(panel: str, side: int = 256) -> str:
    """The turn that looks at the middle of a panel, on a board with panels of `side` pixels."""
    row, column = divmod(PANELS.index(panel), 3)
    x, y = side * column + side // 2, side * row + side // 2
    half = _CROP_SIDE // 2
    box = f"{x - half}, {y - half}, {x + half}, {y + half}"
    return _call(f"image_1.crop(({box})).resize(({_ENLARGED}, {_ENLARGED}))")


def product_call(one: object, other: object) -> str:
    """The turn that has a product computed."""
    return _call(f"print({one} * {other} % {MODULUS})")


def answer(text: str, letter: str) -> str:
    """The turn that answers."""
    return f"<think>{text}</think><answer>{letter}</answer>"


def _call(code: str) -> str:
    return f"<tool_call>{_HEAD}{code}{_TAIL}</tool_call>"


def new_tokens() -> list[str]:
    """Tokens that metis-nano's first vocabulary, made for questions on colours alone, has not."""
    digits = [str(value) for value in range(MODULUS)]
    options = [f"\n{letter}. {digit}" for letter in LETTERS for digit in digits]
    thoughts = [f"{digit}</think><answer>" for digit in digits]
    return ["What is ", f" mod {MODULUS}?", f"{_HEAD}print(", f" % {MODULUS}){_TAIL}", *options, *thoughts]
