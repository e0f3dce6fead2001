"""Key templates: `"ORDER#{id}"` makes a key out of an entity's fields, and the fields out of a key.

Rules of this file: text only, both ways. `#` and `|` separate: a field whose template holds one of them never
contains it, so that `ORDER#{id}` and `ORDER#{id}#LINE#{number}` are told apart whatever the fields hold. What
is written reads back as it was, or is refused. Called by entity.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from string import Formatter
from typing import Final, TypeAlias

import orjson

from tailrace.errors import ItemError, SettingsError

SEPARATORS: Final = "#|"
FIELD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
WIDTH: Final = re.compile(r"0(\d+)d?")


@dataclass(frozen=True, slots=True)
class Slot:
    """A field's place in a template. Shape: `width` pads a number with zeros, so that keys sort so."""

    field: str
    width: int = 0


Part: TypeAlias = str | Slot


@dataclass(frozen=True)
class Template:
    """Literals and slots in turn. Made by `parse_template`."""

    text: str
    parts: tuple[Part, ...]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that it names, in order."""
        return tuple(part.field for part in self.parts if isinstance(part, Slot))

    @cached_property
    def excluded(self) -> str:
        """What none of its fields may contain."""
        return "".join(separator for separator in SEPARATORS if separator in self.text)

    @cached_property
    def lead(self) -> str:
        """The literal that every key begins with."""
        return self.parts[0] if isinstance(self.parts[0], str) else ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        one = f"[^{re.escape(self.excluded)}]" if self.excluded else "."
        made = [re.escape(part) if isinstance(part, str) else f"({one}+?)" for part in self.parts]
        return re.compile("".join(made), re.DOTALL)

    @cached_property
    def json_pattern(self) -> bytes:
        """A pattern of such texts in JSON, unless something in them is escaped; it makes no group."""
        one = f'[^{re.escape(self.excluded)}"\\\\]'.encode()
        made = [
            re.escape(orjson.dumps(part)[1:-1]) if isinstance(part, str) else b"(?:" + one + b"+?)"
            for part in self.parts
        ]
        return b"".join(made)

    def parse(self, key: str) -> dict[str, str] | None:
        """The fields in a key, as text; None when it is not of this template.

        >>> parse_template("ORDER#{id}").parse("ORDER#o1")
        {'id': 'o1'}
        """
        texts = self.match(key)
        return None if texts is None else dict(zip(self.fields, texts, strict=True))

    def match(self, key: str) -> tuple[str, ...] | None:
        """The fields' texts alone, in order."""
        matched = self._pattern.fullmatch(key)
        return None if matched is None else matched.groups()

    def prefix(self, values: Mapping[str, str]) -> str:
        """How the keys of these fields begin, as far as they are given in order.

        >>> parse_template("LINE#{number:04}#{sku}").prefix({"number": "7"})
        'LINE#0007#'
        """
        made = ""
        for part in self.parts:
            if isinstance(part, Slot) and part.field not in values:
                break
            made += part if isinstance(part, str) else _fill(part, values[part.field])
        return made

    def format(self, values: Mapping[str, str]) -> str:
        """The key of these fields. Raises: ItemError when the fields could not be read back out of it.

        >>> parse_template("LINE#{number:04}").format({"number": "12"})
        'LINE#0012'
        """
        key = "".join(
            part if isinstance(part, str) else _fill(part, values[part.field]) for part in self.parts
        )
        fields = self.parse(key)
        if fields is None or any(_plain(fields[name]) != _plain(values[name]) for name in self.fields):
            raise ItemError(self._why(values))
        return key

    def _why(self, values: Mapping[str, str]) -> str:
        for name in self.fields:
            if not values[name]:
                return f"{name}: '' cannot stand in a key: the template {self.text!r} needs a text"
            if separators := [separator for separator in self.excluded if separator in values[name]]:
                return (
                    f"{name}: {values[name]!r} contains {separators[0]!r}, which separates the parts of the "
                    f"key {self.text!r}: leave it out of {name}"
                )
        given = ", ".join(f"{name}={values[name]!r}" for name in self.fields)
        return (
            f"{given}: the key {self.text!r} of these could be read in two ways; separate its fields with '#'"
        )


def _fill(slot: Slot, text: str) -> str:
    return text.zfill(slot.width) if slot.width else text


def _plain(text: str) -> str:
    """Without the padding of a number: `0012` and `12` are one value."""
    return text.lstrip("0") or "0" if text.isdigit() else text


def parse_template(text: str) -> Template:
    """A template. Raises: SettingsError.

    >>> parse_template("ORDER#{id}#LINE#{number:04}").fields
    ('id', 'number')
    """
    if not text:
        raise SettingsError(
            "a key template is empty: write the key with its fields in braces, as in 'ORDER#{id}'"
        )
    parts: list[Part] = []
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            if literal:
                parts.append(literal)
            if name is not None:
                parts.append(_slot(text, name, spec or "", conversion))
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(
            f"template {text!r}: {error}; a brace of the key itself is written twice"
        ) from error
    _check(text, parts)
    return Template(text, tuple(parts))


def _slot(text: str, name: str, spec: str, conversion: str | None) -> Slot:
    if not FIELD.fullmatch(name) or conversion:
        raise SettingsError(
            f"template {text!r}: {{{name}}} is no field: write a field's name alone, as in {{id}}"
        )
    if not spec:
        return Slot(name)
    width = WIDTH.fullmatch(spec)
    if width is None:
        raise SettingsError(
            f"template {text!r}: {{{name}:{spec}}}: only a width of zeros can follow, as in {{{name}:06}}"
        )
    return Slot(name, int(width[1]))


def _check(text: str, parts: list[Part]) -> None:
    names = [part.field for part in parts if isinstance(part, Slot)]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"template {text!r} names {name!r} twice: once is enough to read it back")
    for before, after in pairwise(parts):
        if isinstance(before, Slot) and isinstance(after, Slot):
            raise SettingsError(
                f"template {text!r}: nothing stands between {{{before.field}}} and {{{after.field}}}, so a "
                "key of it could be read in many ways: separate them with '#'"
            )


def overlap(first: Template, second: Template) -> str | None:
    """A key that both could have made, None when there is none.

    >>> overlap(parse_template("ORDER#{id}"), parse_template("ORDER#{id}#LINE#{number}"))
    >>> overlap(parse_template("ORDER#{id}"), parse_template("{anything}"))
    'ORDER#x'
    """
    left, right = _steps(first), _steps(second)
    seen: dict[tuple[int, int], str] = {(0, 0): ""}
    waiting = [(0, 0)]
    while waiting:
        place = waiting.pop(0)
        for after, char in _moves(left, right, *place):
            if after not in seen:
                seen[after] = seen[place] + char
                waiting.append(after)
    return seen.get((len(left), len(right)))


_Step: TypeAlias = tuple[str, bool]
"""A character, or (what it may not be, True): one character of a field."""


def _steps(template: Template) -> list[_Step]:
    steps: list[_Step] = []
    for part in template.parts:
        steps += [(template.excluded, True)] if isinstance(part, Slot) else [(char, False) for char in part]
    return steps


def _moves(left: list[_Step], right: list[_Step], i: int, j: int) -> list[tuple[tuple[int, int], str]]:
    if i >= len(left) or j >= len(right):
        return []
    char = _shared(left[i], right[j])
    if char is None:
        return []
    # A field takes the character and stays, or is over: at least one character is its own.
    return [
        ((after_i, after_j), char)
        for after_i in ((i, i + 1) if left[i][1] else (i + 1,))
        for after_j in ((j, j + 1) if right[j][1] else (j + 1,))
        if (after_i, after_j) != (i, j)
    ]


def _shared(left: _Step, right: _Step) -> str | None:
    """A character that both may be."""
    match left[1], right[1]:
        case True, True:
            return next(char for char in "xyz" if char not in left[0] + right[0])
        case True, False:
            return None if right[0] in left[0] else right[0]
        case False, True:
            return None if left[0] in right[0] else left[0]
        case _:
            return left[0] if left[0] == right[0] else None
