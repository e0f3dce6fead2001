"""What a projection is kept by: `by=Order.country`, several fields, a function of the item, or nothing.

Rules of this file: a group's key is one attribute value, and its JSON text names the group; None is a key
like any other, so that no item disappears. What cannot be a key is refused where the app is loaded.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeAlias

import orjson

from tailrace.app.codec import (
    ANY,
    MISFITS,
    NONE,
    Codec,
    UnknownAnnotation,
    codec_of,
    fixed_codec,
    optional_codec,
)
from tailrace.app.depends import place_of
from tailrace.app.entity import Entity, field_path
from tailrace.app.field_path import FieldPath
from tailrace.app.models import model_codec
from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue
from tailrace.values.wire import read_value

Column: TypeAlias = tuple[str, frozenset[str]]
SCALARS: Final = frozenset(("S", "N", "B", "BOOL", "NULL"))


@dataclass(frozen=True, slots=True)
class Grouping:
    """How an item's group is read, and how its key is written.

    Shape:   `words` for people; `function` is the user's, when `by` is one; `columns` are the names and the
             attribute kinds of the key's values, for targets that keep it in columns.
    """

    words: str
    read: Callable[[Any], Any]
    codec: Codec
    columns: tuple[Column, ...] = ()
    function: Callable[[Any], Any] | None = None

    def key_of(self, item: Any) -> str:
        """The key of an item's group. Raises: what the user's function raises, TypeError for no key."""
        return self.text_of(self.read(item))

    def text_of(self, value: Any) -> str:
        """A key as text. Raises: TypeError."""
        try:
            attribute = read_value(self.codec.encode(value))
        except MISFITS as error:
            raise TypeError(f"by={self.words}: {value!r} is no key of this projection: {error}") from error
        for element in attribute.get("L", [attribute]):
            if not SCALARS.issuperset(element):
                raise TypeError(
                    f"by={self.words}: {value!r} is no key: a key is a text, a number, bytes, a "
                    "truth, None, or a tuple of these"
                )
        return orjson.dumps(attribute).decode()

    def value_of(self, text: str) -> Any:
        """A key as it is in Python."""
        attribute: AttributeValue = orjson.loads(text)
        value = self.codec.decode(attribute)
        return tuple(value) if isinstance(value, list) else value


EVERYTHING: Final = Grouping("None", lambda item: None, NONE)
"""One group of all items, with the key None."""


def grouping_of(place: str, by: Any, entity: Entity[Any] | None) -> Grouping:
    """What `by=` says. Raises: SettingsError."""
    if by is None:
        return EVERYTHING
    if isinstance(by, tuple | list):
        if len(by) < 2:
            raise SettingsError(f"{place}: by={by!r}: name several fields, or one without brackets")
        parts = [_part(place, field, entity) for field in by]
        words = f"({', '.join(part.words for part in parts)})"
        codec = fixed_codec([part.codec for part in parts])
        columns = tuple(column for part in parts for column in part.columns)
        return Grouping(words, lambda item: tuple(part.read(item) for part in parts), codec, columns)
    return _part(place, by, entity)


def _part(place: str, by: Any, entity: Entity[Any] | None) -> Grouping:
    match by:
        case FieldPath():
            return _field(place, by, entity)
        case str() if entity is not None:
            try:
                return _field(place, field_path(entity, by), entity)
            except SettingsError as error:
                raise SettingsError(f"{place}: by={by!r}: {error.args[0]}") from error
        case str() if by:
            return Grouping(repr(by), lambda item: item.get(by), ANY, ((by, ANY.kinds),))
        case _ if callable(by) and not isinstance(by, type):
            return _function(place, by)
    raise SettingsError(
        f"{place}: by={by!r} is nothing to group by: write by=Order.country, by=(Order.country, "
        "Order.status), an attribute's name for a table, or a function of the item"
    )


def _field(place: str, field: FieldPath, entity: Entity[Any] | None) -> Grouping:
    if entity is None or field._entity is not entity:
        on = "a table" if entity is None else repr(entity)
        raise SettingsError(
            f"{place}: by={field!r} is a field of {field._entity!r}, and the projection is of {on}: name a "
            f"field of its own, or declare the item's parameter as {field._entity!r}"
        )
    codec = field._codec
    columns = (("_".join(field._names), codec.kinds),)
    if not codec.kinds <= SCALARS:
        raise SettingsError(
            f"{place}: by={field!r}: it is {codec.words}, and a group's key is a text, a number, a date, an "
            "enum, bytes or a truth; group by a function that makes one of it"
        )
    return Grouping(
        repr(field),
        lambda item: reduce(_inside, field._names, item),
        codec if "NULL" in codec.kinds else optional_codec(codec),
        columns,
    )


def _inside(item: Any, name: str) -> Any:
    return None if item is None else getattr(item, name)


def _function(place: str, by: Callable[[Any], Any]) -> Grouping:
    words = getattr(by, "__qualname__", repr(by))
    if inspect.iscoroutinefunction(by):
        raise SettingsError(f"{place}: by={words} is `async def`: a group is computed, nothing is waited for")
    try:
        wanted = [
            parameter
            for parameter in inspect.signature(by).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
    except (TypeError, ValueError):
        wanted = [
            inspect.Parameter("item", inspect.Parameter.POSITIONAL_ONLY)
        ]  # a built-in: taken at its word
    if len(wanted) != 1:
        raise SettingsError(
            f"{place}: by={words}{place_of(by)} is called with one argument, the item, and takes "
            f"{len(wanted)}"
        )
    codec = _returned(by)
    return Grouping(words, by, codec, (("key", codec.kinds),), by)


def _returned(by: Callable[[Any], Any]) -> Codec:
    try:
        annotation = inspect.get_annotations(by, eval_str=True).get("return")
        codec = ANY if annotation is None else codec_of(annotation, model_codec)
    except (NameError, TypeError, UnknownAnnotation):
        return ANY  # what it returns says what it is
    return codec if "NULL" in codec.kinds else optional_codec(codec)
