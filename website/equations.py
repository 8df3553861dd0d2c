"""The equations of a cell's docstring as LaTeX, where they are written as we write them.

A product is what stands side by side, or what `@` or `*` joins; `/` divides the factor before it
by the one after it. A bracket directly behind a name is a call, and one after a space a factor.
What cannot be read in this way, as prose within an equation, stays code.
"""

import inspect
import re
from collections.abc import Collection, Iterator

GREEK = "alpha beta gamma delta epsilon lambda mu nu pi sigma tau theta".split()
OPERATORS = {"@": r"\,", "*": r"\odot "}
TOKENS = re.compile(
    r"(?P<call>[A-Za-z]\w*)\((?=.)|(?P<name>[A-Za-z]+)(?:_(?:\{(?P<sum>[^{}]+)\}|(?P<sub>\w+)))?"
    r"|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[-+*/@^|(),=])|(?P<space> +)|(?P<other>.)"
)


class NotAnEquation(Exception):
    """It has something that is not of the notation."""


def equations(kind: type, names: Collection[str]) -> Iterator[tuple[str, str | None]]:
    """(code, LaTeX or None) of each equation in the paragraph that says what a step computes.

    `names` are the words that stand for numbers, beside those that an equation defines.
    """
    paragraphs = [" ".join(text.split()) for text in (inspect.getdoc(kind) or "").split("\n\n")]
    for paragraph in paragraphs:
        found = [code for code in re.findall(r"`([^`]+)`", paragraph) if " = " in code]
        defined = [name.strip() for code in found for name in code.split(" = ")[0].split(",")]
        if any(name.endswith("_t") for name in defined):
            return ((code, latex(code, {*names, *defined})) for code in found)
    return iter(())


def latex(code: str, names: Collection[str]) -> str | None:
    """An equation, or None where it cannot be read."""
    try:
        return _Reader(code, names).equation()
    except NotAnEquation:
        return None


class _Reader:
    """From left to right, by recursive descent."""

    def __init__(self, code: str, names: Collection[str]) -> None:
        self.names = names
        self.tokens = [match for match in TOKENS.finditer(code) if match.lastgroup != "space"]

    def equation(self) -> str:
        sides = [self.row()]
        while self.take("="):
            sides.append(self.row())
        if self.tokens or len(sides) == 1:
            raise NotAnEquation
        return " = ".join(sides)

    def row(self) -> str:
        """Sums between commas."""
        parts = [self.sum()]
        while self.take(","):
            parts.append(self.sum())
        return r",\; ".join(parts)

    def sum(self) -> str:
        text = "-" * self.take("-") + self.product()
        while sign := next((sign for sign in "+-" if self.take(sign)), None):
            text += f" {sign} {self.product()}"
        return text

    def product(self) -> str:
        factors = [self.factor()]
        while self.tokens:
            operator = next((sign for sign in (*OPERATORS, "/") if self.take(sign)), None)
            if operator == "/":
                above, below = factors.pop(), self.factor()
                factors.append(rf"\frac{{{_bare(above)}}}{{{_bare(below)}}}")
            elif operator or self.begins_a_factor():
                factors += [OPERATORS.get(operator or "", r"\,"), self.factor()]
            else:
                break
        return "".join(factors)

    def begins_a_factor(self) -> bool:
        token = self.tokens[0]
        return token["sign"] == "(" or token["sign"] is None

    def factor(self) -> str:
        base = self.atom()
        return f"{base}^{{{self.atom()}}}" if self.take("^") else base

    def atom(self) -> str:
        if not self.tokens:
            raise NotAnEquation
        token = self.tokens.pop(0)
        if token["call"]:
            inside = self.up_to(")")
            if token["call"] == "sqrt":
                return rf"\sqrt{{{inside}}}"
            return rf"{_function(token['call'])}({inside})"
        if token["name"]:
            return self.name(token)
        if token["number"]:
            return token["number"]
        if token["sign"] == "(":
            return f"({self.up_to(')')})"
        if token["sign"] == "|":
            return f"|{self.up_to('|')}|"
        raise NotAnEquation

    def up_to(self, end: str) -> str:
        text = self.row()
        if not self.take(end):
            raise NotAnEquation
        return text

    def name(self, token: re.Match[str]) -> str:
        base, below = token["name"], token["sub"]
        if token.group() == "log":
            return r"\log "
        if len(base) > 1 and base not in GREEK and token.group() not in self.names:
            raise NotAnEquation
        if token["sum"]:
            below = _Reader(token["sum"], self.names).sum()
        elif below:
            below = _letters(below)
        return _letters(base) + (f"_{{{below}}}" if below else "")

    def take(self, sign: str) -> bool:
        """Whether it comes next; then it is gone."""
        if self.tokens and self.tokens[0]["sign"] == sign:
            self.tokens.pop(0)
            return True
        return False


def _letters(name: str) -> str:
    if name in GREEK:
        return "\\" + name
    return name if len(name) == 1 else rf"\mathrm{{{name}}}"


def _function(name: str) -> str:
    return rf"\mathrm{{{name.replace('_', ' ')}}}".replace(" ", r"\ ")


def _bare(factor: str) -> str:
    """Without the brackets around all of it, which a fraction does not need."""
    return factor[1:-1] if factor.startswith("(") and factor.endswith(")") else factor
