"""Protocol buffers as text, as far as config.pbtxt of Triton goes: read without its schema, within bounds."""

import re
from ast import literal_eval
from typing import Any

from .report import MigrationError

MOST_TEXT = 1 << 20
_MOST_DEPTH = 32
_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\n?|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
    r"""|(?P<number>[-+]?(?:0[xX][0-9a-fA-F]{1,16}|(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,4})?)f?(?![\w.]))"""
    r"""|(?P<word>-?[A-Za-z_][\w.]*)|(?P<mark>[{}<>\[\]:,;]))"""
)

# A text, a number, true or false, an enumerator as a text, or a message.
Value = Any
Message = dict[str, list[Value]]


def parse(text: str) -> Message:
    """The fields of a message by name, each with all of its values in their order."""
    if len(text) > MOST_TEXT:
        raise MigrationError(f"config.pbtxt has more than {MOST_TEXT} characters.")
    return _Reader(text).message(None, 0)


class _Reader:
    """Reads tokens from the left to the right."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def message(self, closing: str | None, depth: int) -> Message:
        """Fields up to `closing`, or up to the end."""
        if depth > _MOST_DEPTH:
            raise MigrationError(f"config.pbtxt nests deeper than {_MOST_DEPTH}.")
        fields: Message = {}
        while True:
            kind, name = self._next()
            if (kind, name) in {("mark", ","), ("mark", ";")}:
                continue
            if name == closing and (kind == "mark" or closing is None):
                return fields
            if kind != "word":
                raise _surprise(name, "a field")
            fields.setdefault(name, []).extend(self._values(depth))

    def _values(self, depth: int) -> list[Value]:
        has_colon = self._skip(":")
        if not self._skip("["):
            return [self._value(depth, has_colon)]
        values: list[Value] = []
        while not self._skip("]"):
            values.append(self._value(depth, True))
            self._skip(",")
        return values

    def _value(self, depth: int, may_be_plain: bool) -> Value:
        kind, token = self._next()
        if kind == "mark" and token in {"{", "<"}:
            return self.message("}" if token == "{" else ">", depth + 1)
        if kind in {"text", "number", "word"} and may_be_plain:
            return self._text(token) if kind == "text" else _number(token) if kind == "number" else _word(token)
        raise _surprise(token, "a value")

    def _text(self, first: str) -> str:
        # Texts side by side are one text.
        parts = [first]
        while self._at < len(self._tokens) and self._tokens[self._at][0] == "text":
            parts.append(self._next()[1] or "")
        try:
            return "".join(literal_eval(part) for part in parts)
        except (SyntaxError, ValueError) as error:
            raise MigrationError(f"config.pbtxt: the text {first[:80]} is not understood.") from error

    def _next(self) -> tuple[str | None, str | None]:
        if self._at >= len(self._tokens):
            return None, None
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, mark: str) -> bool:
        is_there = self._at < len(self._tokens) and self._tokens[self._at] == ("mark", mark)
        self._at += is_there
        return is_there


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            line = text.count("\n", 0, at) + 1
            raise MigrationError(f"config.pbtxt, line {line}: {text[at : at + 40].strip()!r} is not understood.")
        if match.lastgroup is not None:
            tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return tokens


def _number(token: str) -> int | float:
    if token.lower().lstrip("+-").startswith("0x"):
        return int(token, 16)
    token = token.removesuffix("f")
    return float(token) if any(character in token for character in ".eE") else int(token)


def _word(token: str) -> str | bool:
    return {"true": True, "false": False, "True": True, "False": False}.get(token, token)


def _surprise(token: str | None, wanted: str) -> MigrationError:
    found = "its end" if token is None else repr(token[:80])
    return MigrationError(f"config.pbtxt: found {found}, expected {wanted}.")
