"""Python types ⇄ DynamoDB's attribute values: one codec for each annotation, compiled once.

Theory of operation: `codec_of(annotation)` walks the annotation and makes two functions, one each way; a
model's codec is made of its fields' (models.py). Decoding reads exactly what encoding writes, so nothing is
guessed: another kind of value is an error.
Rules of this file: lossless. Numbers are exact, a datetime keeps its microseconds, bytes are bytes.
"""

import math
import types
from base64 import b64decode, b64encode
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    Sequence,
    Set,
)
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from tailrace.app.plain import to_attribute, to_plain
from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue

KINDS: Final = frozenset(("S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"))
MISFITS: Final = (KeyError, ValueError, TypeError, ArithmeticError, AttributeError)
"""What reading a value of another kind raises. Models turn it into an ItemError with the field's name."""
SET_OF: Final = {"S": "SS", "N": "NS", "B": "BS"}
NULL: Final[AttributeValue] = {"NULL": True}


@dataclass(frozen=True, slots=True)
class Codec:
    """One annotation, both ways.

    Shape:   `kinds` that it reads and writes; `words` for people. `canonical` when equal values are equal
             texts of one kind, so that a pattern can ask for a value. `leaves_out` says which values are
             written as no attribute at all.
    Raises:  encode: TypeError, ValueError; decode: one of MISFITS.
    """

    kinds: frozenset[str]
    words: str
    encode: Callable[[Any], AttributeValue]
    decode: Callable[[AttributeValue], Any]
    canonical: bool = False
    leaves_out: Callable[[Any], bool] | None = None
    members: Mapping[str, "Member"] | None = None
    """The fields of a model, by their Python names: what `Order.address.city` can name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A field inside a model."""

    attribute: str
    codec: Codec
    absent: Callable[[], Any] | None = None


class Attribute:
    """`Annotated[datetime, Attribute("modified")]`: the attribute's name, where it is not the field's."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        text: object = name
        if not isinstance(text, str) or not text:
            raise SettingsError(f"Attribute({name!r}): an attribute's name is a text that is not empty")
        self.name = name


class _Seconds:
    """Marks a datetime that is kept as a number of seconds."""


Epoch: TypeAlias = Annotated[datetime, _Seconds()]
"""A datetime kept as a number of whole seconds since 1970, as a table's TTL attribute needs it."""


class UnknownAnnotation(SettingsError):
    """An annotation has no place in DynamoDB: the message says what to write instead."""


# ---- single values -----------------------------------------------------------------------------------------


def _text(value: Any) -> AttributeValue:
    return {"S": _of(str, value)}


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _whole(value: Any) -> AttributeValue:
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is no int")
    return {"N": str(int(_of(int, value)))}


def _read_whole(value: AttributeValue) -> int:
    text = value["N"]
    try:
        return int(text)
    except ValueError:
        number = Decimal(text)
        if number != number.to_integral_value():
            raise
        return int(number)


def _exact(value: Any) -> AttributeValue:
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float, and the field is exact: write Decimal('{value!r}')")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(f"{value!r} is no Decimal")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError(f"{value} is no number of DynamoDB")
    return {"N": str(value)}


def _read_exact(value: AttributeValue) -> Decimal:
    return Decimal(value["N"])


def _real(value: Any) -> AttributeValue:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no float")
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number of DynamoDB")
    return {"N": str(Decimal(repr(float(value))))}


def _read_real(value: AttributeValue) -> float:
    return float(value["N"])


def _truth(value: Any) -> AttributeValue:
    return {"BOOL": _of(bool, value)}


def _binary(value: Any) -> AttributeValue:
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    return {"B": b64encode(_of(bytes, value)).decode()}


def _read_binary(value: AttributeValue) -> bytes:
    return b64decode(value["B"])


def _instant(value: Any) -> AttributeValue:
    """Of one length, so that texts sort as times do; with a zone it is UTC and ends in Z."""
    _of(datetime, value)
    if value.tzinfo is None:
        return {"S": value.isoformat(timespec="microseconds")}
    return {"S": value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"}


def _read_instant(value: AttributeValue) -> datetime:
    return datetime.fromisoformat(value["S"])


def _seconds(value: Any) -> AttributeValue:
    if _of(datetime, value).tzinfo is None:
        raise ValueError(f"{value!r} has no time zone, so it is no instant: add tzinfo=UTC")
    return {"N": str(math.floor(value.timestamp()))}


def _read_seconds(value: AttributeValue) -> datetime:
    return datetime.fromtimestamp(_read_whole(value), UTC)


def _day(value: Any) -> AttributeValue:
    if isinstance(value, datetime):
        raise TypeError(f"{value!r} is a datetime, and the field a date")
    return {"S": _of(date, value).isoformat()}


def _read_day(value: AttributeValue) -> date:
    return date.fromisoformat(value["S"])


def _clock_time(value: Any) -> AttributeValue:
    return {"S": _of(time, value).isoformat(timespec="microseconds")}


def _read_clock_time(value: AttributeValue) -> time:
    return time.fromisoformat(value["S"])


def _identity_codec(kind: type) -> Codec:
    """UUID, known by its name: importing the module costs every start, and few use it."""
    return _codec("S", "UUID", lambda value: {"S": str(_of(kind, value))}, lambda value: kind(value["S"]))


def _nothing(value: Any) -> AttributeValue:
    if value is not None:
        raise TypeError(f"{value!r} is not None")
    return NULL


def _read_nothing(value: AttributeValue) -> None:
    if value["NULL"] is not True:
        raise ValueError("no NULL")


def _codec(kind: str, words: str, encode: Any, decode: Any, canonical: bool = False) -> Codec:
    return Codec(frozenset((kind,)), words, encode, decode, canonical)


NONE: Final = _codec("NULL", "None", _nothing, _read_nothing)
ANY: Final = Codec(KINDS, "anything", to_attribute, to_plain)
SECONDS: Final = _codec("N", "datetime in whole seconds", _seconds, _read_seconds)
SINGLE: Final[Mapping[Any, Codec]] = {
    str: _codec("S", "str", _text, itemgetter("S"), canonical=True),
    int: _codec("N", "int", _whole, _read_whole, canonical=True),
    Decimal: _codec("N", "Decimal", _exact, _read_exact, canonical=True),
    float: _codec("N", "float", _real, _read_real),
    bool: _codec("BOOL", "bool", _truth, itemgetter("BOOL"), canonical=True),
    bytes: _codec("B", "bytes", _binary, _read_binary),
    datetime: _codec("S", "datetime", _instant, _read_instant),
    date: _codec("S", "date", _day, _read_day),
    time: _codec("S", "time", _clock_time, _read_clock_time),
    type(None): NONE,
    None: NONE,
    Any: ANY,
    object: ANY,
}


# ---- compound values ---------------------------------------------------------------------------------------


def enum_codec(kind: type[Enum]) -> Codec:
    """An enum by its members' values. Raises: UnknownAnnotation unless all are texts or all whole numbers."""
    return _choice(kind.__name__, {member.value: member for member in kind})


def literal_codec(values: Collection[Any]) -> Codec:
    """`Literal["a", "b"]`. Raises: UnknownAnnotation."""
    return _choice(f"one of {', '.join(map(repr, values))}", {value: value for value in values})


def _choice(words: str, choices: Mapping[Any, Any]) -> Codec:
    of = {type(value) for value in choices}
    inner = SINGLE[of.pop()] if len(of) == 1 and of <= {str, int} else None
    if inner is None:
        raise UnknownAnnotation(f"{words}: its values are neither all str nor all int")
    written = {member: inner.encode(value) for value, member in choices.items()}
    (kind,) = inner.kinds
    read = {attribute[kind]: member for member, attribute in written.items()}

    def encode(value: Any) -> AttributeValue:
        # By equality too, so that "paid" will do for Status.PAID where Status is a StrEnum.
        try:
            return written[value]
        except KeyError:
            raise ValueError(f"{value!r} is not {words}") from None

    def decode(value: AttributeValue) -> Any:
        return read[value[kind]]

    return Codec(inner.kinds, words, encode, decode, canonical=True)


def list_codec(inner: Codec, make: Callable[[list[Any]], Any] | None = None, words: str = "list") -> Codec:
    """Elements are coded by `inner`; `make` turns the list that was read into another sequence."""
    write, read = inner.encode, inner.decode

    def encode(value: Any) -> AttributeValue:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
            raise TypeError(f"{value!r} is no {words}")
        return {"L": [write(element) for element in value]}

    def decode(value: AttributeValue) -> Any:
        elements = [read(element) for element in value["L"]]
        return elements if make is None else make(elements)

    return Codec(frozenset(("L",)), f"{words} of {inner.words}", encode, decode)


def fixed_codec(inners: Sequence[Codec]) -> Codec:
    """A tuple whose places have each their own type."""

    def encode(value: Any) -> AttributeValue:
        if not isinstance(value, tuple) or len(value) != len(inners):
            raise TypeError(f"{value!r} is no tuple of {len(inners)}")
        return {"L": [inner.encode(element) for inner, element in zip(inners, value, strict=True)]}

    def decode(value: AttributeValue) -> Any:
        return tuple([inner.decode(element) for inner, element in zip(inners, value["L"], strict=True)])

    return Codec(frozenset(("L",)), f"tuple of {', '.join(inner.words for inner in inners)}", encode, decode)


def dict_codec(inner: Codec) -> Codec:
    """A dictionary of texts to values of one type."""
    write, read = inner.encode, inner.decode

    def encode(value: Any) -> AttributeValue:
        return {"M": {_of(str, name): write(element) for name, element in _of(Mapping, value).items()}}

    def decode(value: AttributeValue) -> Any:
        return {name: read(element) for name, element in value["M"].items()}

    return Codec(frozenset(("M",)), f"dict of {inner.words}", encode, decode)


def set_codec(inner: Codec, make: Callable[[Iterable[Any]], Any]) -> Codec:
    """A set of texts, numbers or bytes. An empty one is left out, or NULL inside others."""
    kind = SET_OF.get(next(iter(inner.kinds))) if len(inner.kinds) == 1 else None
    if kind is None:
        raise UnknownAnnotation(
            f"a set of {inner.words}: DynamoDB's sets hold texts, numbers or bytes; a list holds anything"
        )
    (element_kind,) = inner.kinds
    write, read = inner.encode, inner.decode

    def encode(value: Any) -> AttributeValue:
        values = _of(Set, value)
        return {kind: sorted(write(element)[element_kind] for element in values)} if values else NULL

    def decode(value: AttributeValue) -> Any:
        return (
            make([]) if "NULL" in value else make([read({element_kind: element}) for element in value[kind]])
        )

    return Codec(frozenset((kind, "NULL")), f"set of {inner.words}", encode, decode, leaves_out=_is_empty)


def _is_empty(value: Any) -> bool:
    return not value


def union_codec(options: Sequence[Codec]) -> Codec:
    """One of several types that DynamoDB can tell apart. Raises: UnknownAnnotation."""
    reading: dict[str, Codec] = {}
    for option in options:
        for kind in option.kinds:
            if kind in reading and not (kind == "NULL" and NONE in (option, reading[kind])):
                raise UnknownAnnotation(
                    f"{option.words} | {reading[kind].words}: both are kept as {kind}, so what is read could "
                    "be either; keep one of them, or wrap them in models with a field that says which"
                )
            if kind not in reading or option is NONE:
                reading[kind] = option
    words = " | ".join(option.words for option in options)

    def encode(value: Any) -> AttributeValue:
        if NONE in options and isinstance(value, Set) and not value:
            raise ValueError(
                "an empty set cannot be told from None in DynamoDB: use None, or a field `set[…] = set()`"
            )
        for option in options:
            try:
                return option.encode(value)
            except (TypeError, ValueError):
                continue
        raise TypeError(f"{value!r} is not {words}")

    def decode(value: AttributeValue) -> Any:
        for kind in value:
            return reading[kind].decode(value)
        raise ValueError("no attribute value")

    leaving = [option.leaves_out for option in options if option.leaves_out is not None]
    if NONE in options:
        leaving.append(_is_none)
    known = [option for option in options if option is not NONE]
    return Codec(
        frozenset(reading),
        words,
        encode,
        decode,
        canonical=len(known) == 1 and known[0].canonical,
        leaves_out=(lambda value: any(leaves_out(value) for leaves_out in leaving)) if leaving else None,
        members=known[0].members if len(known) == 1 else None,
    )


def optional_codec(inner: Codec) -> Codec:
    """`X | None`, by far the most frequent union."""
    read, write = inner.decode, inner.encode

    def encode(value: Any) -> AttributeValue:
        return NULL if value is None else write(value)

    def decode(value: AttributeValue) -> Any:
        return None if "NULL" in value else read(value)

    return Codec(
        inner.kinds | {"NULL"},
        f"{inner.words} | None",
        encode,
        decode,
        inner.canonical,
        _is_none,
        inner.members,
    )


def _is_none(value: Any) -> bool:
    return value is None


# ---- annotations -------------------------------------------------------------------------------------------

ModelCodec: TypeAlias = Callable[[Any], Codec | None]
"""What makes the codec of a class with fields, None when it is no such class."""


def codec_of(annotation: Any, model: ModelCodec) -> Codec:
    """The codec of an annotation. Raises: UnknownAnnotation."""
    if (codec := _single(annotation)) is not None:
        return codec
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        is_seconds = any(isinstance(mark, _Seconds) for mark in inside[1:])
        return SECONDS if is_seconds else codec_of(inside[0], model)
    if origin is Literal:
        return literal_codec(inside)
    if origin in (Union, types.UnionType):
        return _union([codec_of(option, model) for option in inside])
    if isinstance(annotation, type) and (annotation.__module__, annotation.__name__) == ("uuid", "UUID"):
        return _identity_codec(annotation)
    if (codec := _container(origin or annotation, inside, model)) is not None:
        return codec
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return enum_codec(annotation)
    if (codec := model(annotation)) is not None:
        return codec
    raise UnknownAnnotation(
        f"{_words(annotation)} has no place in DynamoDB: use str, int, Decimal, float, bool, bytes, "
        "datetime, date, time, UUID, an Enum, a Literal, list, dict[str, …], set, a nested model, `| None`, "
        "or Any"
    )


def _single(annotation: Any) -> Codec | None:
    try:
        return SINGLE.get(annotation)
    except TypeError:  # an annotation that cannot be hashed is none of these
        return None


def _union(options: list[Codec]) -> Codec:
    if len(options) == 2 and NONE in options:
        other = options[0] if options[1] is NONE else options[1]
        if "NULL" not in other.kinds:
            return optional_codec(other)
    return union_codec(options)


def _container(origin: Any, inside: tuple[Any, ...], model: ModelCodec) -> Codec | None:
    if origin in (list, Sequence, MutableSequence, Iterable, Collection):
        return list_codec(codec_of(inside[0], model) if inside else ANY)
    if origin is tuple:
        if len(inside) == 2 and inside[1] is Ellipsis:
            return list_codec(codec_of(inside[0], model), tuple, "tuple")
        return (
            fixed_codec([codec_of(annotation, model) for annotation in inside])
            if inside
            else list_codec(ANY, tuple, "tuple")
        )
    if origin in (set, frozenset, Set):
        make: Any = set if origin is set else frozenset
        if not inside:
            raise UnknownAnnotation(f"{origin.__name__}: say of what, as in {origin.__name__}[str]")
        return set_codec(codec_of(inside[0], model), make)
    if origin in (dict, Mapping, MutableMapping):
        if inside and inside[0] is not str:
            raise UnknownAnnotation(
                f"a dict of {_words(inside[0])}: DynamoDB's maps have texts as keys: dict[str, …]"
            )
        return dict_codec(codec_of(inside[1], model) if inside else ANY)
    return None


def _words(annotation: Any) -> str:
    return (
        annotation.__qualname__
        if isinstance(annotation, type) and not get_args(annotation)
        else str(annotation)
    )
