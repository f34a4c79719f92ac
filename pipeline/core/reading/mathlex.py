"""The language of mathematical texts, plain and LaTeX-light: its tokens in one spelling each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dsgen.pipeline.core.arith import OPS

MAX_CHARS = 20_000


class Unreadable(ValueError):
    """The text is not an exact value in the language that is read here; the message says why."""


_TRANSLATION = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": "*", "⋅": "*", "·": "*", "∙": "*", "•": "*",
        "∗": "*", "✕": "*", "÷": "/", "∕": "/", "⁄": "/", "≤": "≤", "⩽": "≤", "≥": "≥", "⩾": "≥", "≅": "≈", "≃": "≈",
        "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2061": " ", "\u2062": "*", "\u200b": " ", "\ufeff": " ",
        "π": "\\pi ", "²": "^2", "³": "^3", "½": "(1/2)", "¼": "(1/4)", "¾": "(3/4)", "$": " ", "&": " ", "~": " ",
        "（": "(", "）": ")", "，": ",", "％": "%", "＝": "=",
    }
)  # fmt: skip
_LATEX = re.compile(
    r"\\(?:(left|right|bigl?|bigr?|Bigl?|Bigr?|biggl?|biggr?|displaystyle|textstyle|mathrm|mathbf|boxed|limits|quad|qquad)"
    r"(?![A-Za-z])|([,;:! ()\[\]$]|\\)|(%))|\{,\}"
)
_DEGREE = re.compile(r"\^\s?(?:\\circ(?![a-z])|\{\s?\\circ\s?\})")
_TOKEN = re.compile(
    r"\d+(?:,\d{3})+(?![\d])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+|\\[A-Za-z]+|\\[{}|]"
    r"|[A-Za-z]_(?:\w|\{\w{1,8}\})|[A-Za-z]+|\*\*|<=|>=|!=|==|\.\.\.|\S",
    re.ASCII,
)

_COMMANDS = {
    r"\times": "*", r"\cdot": "*", r"\ast": "*", r"\div": "/", r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥",
    r"\ne": "≠", r"\neq": "≠", r"\lt": "<", r"\gt": ">", r"\approx": "≈", r"\equiv": "≡", r"\bmod": "mod",
    r"\mod": "mod", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom",
    r"\tbinom": r"\binom", r"\choose": "choose", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\lvert": "|", r"\rvert": "|",
    r"\vert": "|", "√": r"\sqrt", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil", "**": "^",
    "<=": "≤", ">=": "≥", "!=": "≠", "==": "=", "pi": r"\pi", "alpha": r"\alpha", "beta": r"\beta", "gamma": r"\gamma",
    "theta": r"\theta", "lambda": r"\lambda", "sigma": r"\sigma", "omega": r"\omega", "rho": r"\rho", "tau": r"\tau",
    "phi": r"\phi", "mu": r"\mu", "epsilon": r"\epsilon", "delta": r"\delta", r"\degree": "°",
}  # fmt: skip
RELATIONS = frozenset("=<>≤≥≠≈≡")
CALLS: dict[str, Callable[..., Any]] = {op.sign: op.run for op in OPS.values() if op.form == "call" and op.sign}
TRUTHS = {"yes": True, "no": False, "true": True, "false": False}
WORDS = frozenset([*CALLS, *TRUTHS, "mod", "div", "of", "x"])
"""Words that belong to the language; any other word of more than one letter is prose."""
GREEK = frozenset(
    rf"\{name}"
    for name in [
        *("pi", "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "nu", "rho", "sigma", "tau"),
        *("phi", "varphi", "psi", "omega", "Delta", "Omega", "Sigma", "Phi", "kappa", "eta", "xi", "zeta", "chi"),
    ]
)
FUNCTIONS = frozenset(
    [
        *("sin", "cos", "tan", "cot", "sec", "csc", "cosec", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
        *("ln", "log", "exp"),
    ]
)
"""Names that only approximate arithmetic knows, see :mod:`dsgen.pipeline.core.reading.numeric`."""


def tokens(text: str) -> list[str]:
    """The tokens of a mathematical text, in one spelling each.

    Raises:
        Unreadable: the text is too long.
    """
    if len(text) > MAX_CHARS:
        raise Unreadable("too_long")
    if not text.isascii() or "$" in text or "&" in text or "~" in text:
        text = text.translate(_TRANSLATION)
    if "\\" not in text and "{" not in text:
        found = _TOKEN.findall(text)
    else:
        if "circ" in text:
            text = _DEGREE.sub("°", text)
        text = _LATEX.sub(lambda m: "%" if m[3] else "," if m[0] == "{,}" else " ", text)
        found = _TOKEN.findall(text)
    get = _COMMANDS.get
    return [get(t, t) for t in found]


def names(text: str) -> set[str]:
    """The symbols that a text would need declared: its letters and Greek letters."""
    found: set[str] = set()
    for token in tokens(text):
        if token in GREEK or "_" in token[1:2] or (token.isalpha() and token.isascii() and len(token) == 1):
            found.add(token)
        elif token.isalpha() and token.isascii() and token not in WORDS and token not in FUNCTIONS:
            found.update(token)
    return found
