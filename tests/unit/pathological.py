"""Answers made to keep a parser busy; used by the tests and by `benchmarks/scoring.py`."""

from __future__ import annotations

MEGABYTE = 1_000_000


def _fill(unit: str, size: int = MEGABYTE) -> str:
    return unit * (size // len(unit))


FORMULAS: dict[str, str] = {
    "tower": "9^{9^{9^{9}}}",
    "tower_plain": "9**9**9**9",
    "power_of_power": "((9^{99})^{99})^{99}",
    "large_power": "99999^{99999}",
    "power_of_sum": "(a+b+c+d)^{99}",
    "braces": "{" * 10_000 + "1" + "}" * 10_000,
    "parentheses": "(" * 100 + "1" + ")" * 100,
    "fractions": "\\frac{1}{1+" * 500 + "1" + "}" * 500,
    "roots": "\\sqrt{2+" * 30 + "1" + "}" * 30,
    "nested_roots": "\\sqrt{2+\\sqrt{3+\\sqrt{5+\\sqrt{7+\\sqrt{11}}}}}",
    "binomial": "\\binom{10^{9}}{5\\cdot 10^{8}}",
    "factorial": "100000!",
    "factorials": "((9!)!)!",
    "sum": "\\sum_{k=1}^{10^{12}} \\frac{1}{k^2}",
    "product": "\\prod_{k=1}^{1000000} k",
    "integral": "\\int_0^1 x^{x^{x}} dx",
    "limit": "\\lim_{x \\to 0} \\frac{\\sin x}{x}",
    "matrix": "\\begin{pmatrix}" + "1 & " * 60 + "\\end{pmatrix}",
    "sines": "\\sin(\\cos(\\tan(\\sin(\\cos(1)))))",
    "trigonometry": "\\sin(x)^{2}\\cos(y)^{2}\\tan(x+y)\\sin(x-y)\\cos(x)",
    "polynomial": "(x+1)^{4}(y+2)^{3}(x+y)^{2}",
    "quotient": "\\frac{(x+y)^4-(x-y)^4}{(x+y)^3-(x-y)^3}",
    "logarithm": "\\log(\\log(\\log(\\log(2))))",
    "small_exponent": "1e999999999",
    "digits": "1" * 100_000,
    "decimals": "0." + "3" * 100_000,
    "signs": "-" * 5_000 + "1",
    "commas": "1," * 50_000,
    "groups": "1,234" * 20_000,
    "dots": "1.2.3.4" * 20_000,
    "eval": "__import__('os').system('true')",
    "command": "\\write18{true}",
    "input": "\\input{/etc/passwd}",
}
"""Short and long texts that look like formulas or numbers."""

RESPONSES: dict[str, str] = {
    **{f"answer:{name}": f"<answer>{text}</answer>" for name, text in FORMULAS.items()},
    **{
        f"megabyte:{unit!r}": _fill(unit)
        for unit in (
            "\\boxed{", "\\boxed{}", "<answer>", "</answer>", "<think>", "Answer: ", "Answer: A\n", "The answer is ",
            "\nQuestion: Answer: 1", "{", "\\frac{", "1 ", "1,", "is 1. ", "Therefore, it is ", "I hope. ",
            "(A) is correct. ",
            "答案", "选B", "\\text{", "&amp;", "=", "1=", "a, b. ", "\u200b", "```json {", "option A ", "\n* x", "[",
            "'", '"a", ',
        )
    },
    "megabyte:json": '{"answer": "' + "B" * MEGABYTE + '"}',
    "megabyte:nested_json": "[" * MEGABYTE,
    "megabyte:boxed": "\\boxed{" * 100_000 + "1" + "}" * 100_000,
    "megabyte:tagged": "<answer>" + "1" * MEGABYTE + "</answer>",
    "repeated": "The answer is B. " * 1000,
}  # fmt: skip
"""Complete responses, some of a megabyte."""
