"""Filters written in Python: `F("gloss_len") < 80`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias, final

__all__ = ["F", "Filter"]

Scalar: TypeAlias = bool | int | float | str | None


@final
class Filter:
    """A condition on metadata; made by `F`, combined with `&`, `|` and `~`.

    `str` gives its text, which every `filter` argument takes too.

    >>> str((F("pos") == "n") & ~(F("year").in_([2020, 2021]) | F("draft").exists()))
    '("pos" = \\'n\\') AND (NOT (("year" IN [2020, 2021]) OR (EXISTS "draft")))'
    """

    __slots__ = ("_parts", "_text", "_word")

    def __init__(self, text: str) -> None:
        """A filter from its text, to be combined with others: Filter("pos = 'n'")."""
        self._text = text
        self._word = ""
        self._parts: tuple[str, ...] = (text,)

    def _joined(self, word: str, other: Filter) -> Filter:
        if not isinstance(other, Filter):
            return NotImplemented
        parts: tuple[str, ...] = ()
        # A chain of the same word stays flat: nesting has a limit.
        for part in (self, other):
            parts += part._parts if part._word == word else (part._text,)
        joined = Filter(f" {word} ".join(f"({part})" for part in parts))
        joined._word, joined._parts = word, parts
        return joined

    def __and__(self, other: Filter) -> Filter:
        return self._joined("AND", other)

    def __or__(self, other: Filter) -> Filter:
        return self._joined("OR", other)

    def __invert__(self) -> Filter:
        return Filter(f"NOT ({self._text})")

    def __bool__(self) -> bool:
        raise TypeError("a Filter is neither true nor false; use & | ~ instead of and, or, not")

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"Filter({self._text!r})"

    def __vecstore_filter__(self) -> str:
        return self._text


@final
class F:
    """A field of the metadata that awaits its condition.

    Several names are a path into nested objects: F("gloss", "len"); one name is split at its
    dots, F("gloss.len"), unless there are several.

    >>> F("year") >= 2020
    Filter('"year" >= 2020')
    >>> F("tags").contains("it's")
    Filter('"tags" CONTAINS \\'it\\'\\'s\\'')
    >>> F("a", "b.c") == None
    Filter('"a"."b.c" = null')

    Raises ValueError for a number that is not finite or beyond 64 bits, TypeError for a value
    that is not bool, int, float, str or None.
    """

    __slots__ = ("_path",)
    __hash__ = None  # type: ignore[assignment]  # `==` makes a Filter.

    def __init__(self, *names: str) -> None:
        if not names:
            raise TypeError("F needs the name of a field")
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"the name of a field is {type(name).__name__}, expected str")
        if len(names) == 1:
            names = tuple(names[0].split("."))
        self._path = ".".join('"' + name.replace('"', '""') + '"' for name in names)

    def _test(self, operator: str, value: str) -> Filter:
        return Filter(f"{self._path} {operator} {value}")

    def __eq__(self, value: Scalar) -> Filter:  # type: ignore[override]
        return self._test("=", _literal(value))

    def __ne__(self, value: Scalar) -> Filter:  # type: ignore[override]
        """Holds also where the field is missing."""
        return self._test("!=", _literal(value))

    def __lt__(self, value: float | str) -> Filter:
        return self._test("<", _literal(value))

    def __le__(self, value: float | str) -> Filter:
        return self._test("<=", _literal(value))

    def __gt__(self, value: float | str) -> Filter:
        return self._test(">", _literal(value))

    def __ge__(self, value: float | str) -> Filter:
        return self._test(">=", _literal(value))

    def in_(self, values: Iterable[Scalar]) -> Filter:
        """Equals one of the values."""
        if isinstance(values, str):
            raise TypeError("in_ takes a list of values, not a str")
        return self._test("IN", "[" + ", ".join(map(_literal, values)) + "]")

    def between(self, low: float | str, high: float | str) -> Filter:
        """From low to high, both included."""
        return self._test("BETWEEN", f"{_literal(low)} AND {_literal(high)}")

    def contains(self, value: Scalar) -> Filter:
        """An array has this element, or a string this part."""
        return self._test("CONTAINS", _literal(value))

    def startswith(self, prefix: str) -> Filter:
        """A string begins with this."""
        return self._test("STARTSWITH", _text(prefix))

    def like(self, pattern: str) -> Filter:
        """The whole string follows a pattern: % any run of characters, _ one character, a
        backslash makes the next character plain."""
        return self._test("LIKE", _text(pattern))

    def exists(self) -> Filter:
        """The field is there, None included."""
        return Filter(f"EXISTS {self._path}")

    def is_null(self) -> Filter:
        """The field is there and None."""
        return Filter(f"{self._path} IS NULL")

    def __repr__(self) -> str:
        return f"F({self._path})"


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not a str")
    return "'" + value.replace("'", "''") + "'"


def _literal(value: Scalar) -> str:
    if isinstance(value, str):
        return _text(value)
    item = getattr(value, "item", None)
    if getattr(value, "shape", None) == () and item is not None:
        value = item()  # A scalar of numpy.
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{value} is not within 64 bits")
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a finite number")
        return repr(float(value))
    raise TypeError(f"{type(value).__name__} is not one of bool, int, float, str and None")
