"""Predicates: `changed(Order.status) & (new(Order.total) > 100)`.

What they mean. A predicate sees what the handler would see: an absent attribute is its field's default, or
what the default of the model around it holds, or what the item's key says. Where there is no image (no old
one of an insertion), no attribute and no default, a value of another type, or nothing to look into (a model
that is None), there is no value: every comparison with it is false, so `!=` is true. `changed` compares what
is stored, before and after, and an insertion changes whatever it brings.
Rules of this file: the words and what they mean; they never raise on a record. Patterns are widening.py.
"""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, NoReturn, TypeAlias, TypeVar

from tailrace.app.change import Change
from tailrace.app.codec import MISFITS
from tailrace.app.field_path import FieldPath
from tailrace.app.fields import MISSING
from tailrace.errors import ApiError, SettingsError
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_value

V = TypeVar("V")
Side: TypeAlias = Literal["old", "new"]
Operator: TypeAlias = Literal["==", "<", "<=", ">", ">="]
Judge: TypeAlias = Callable[[Change[Any]], bool]
Reader: TypeAlias = Callable[[Change[Any]], Any]
COMPARE: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    "==": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
ORDERED: Final = ("int", "Decimal", "float", "str", "datetime", "date", "time", "datetime in whole seconds")


class _Absent:
    """No value: equal to nothing, not even to itself."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = object.__hash__


ABSENT: Final = _Absent()


class Predicate:
    """Says whether a handler wants a change. Made by `changed`, `new`, `old`, `by_ttl`, `&`, `|` and `~`."""

    __slots__ = ()

    def __and__(self, other: "Predicate") -> "Predicate":
        return And((self, _predicate(other, "&")))

    def __or__(self, other: "Predicate") -> "Predicate":
        return Or((self, _predicate(other, "|")))

    def __rand__(self, other: object) -> NoReturn:
        raise SettingsError(_brackets(other, "&", f"… {other!r} & {self!r}"))

    def __ror__(self, other: object) -> NoReturn:
        raise SettingsError(_brackets(other, "|", f"… {other!r} | {self!r}"))

    def __invert__(self) -> "Predicate":
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise SettingsError(
            f"{self!r} has no truth of its own, only for a change: write & for and, | for or, ~ for not, "
            "with every comparison in brackets: (new(Order.total) > 100) & (new(Order.status) == 'paid')"
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class And(Predicate):
    """True when every part is."""

    parts: tuple[Predicate, ...]

    def __repr__(self) -> str:
        return " & ".join(
            f"({part!r})" if isinstance(part, Or | Comparison) else repr(part) for part in self.parts
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Or(Predicate):
    """True when a part is."""

    parts: tuple[Predicate, ...]

    def __repr__(self) -> str:
        return " | ".join(
            f"({part!r})" if isinstance(part, And | Comparison) else repr(part) for part in self.parts
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Not(Predicate):
    """True when the inner predicate is not; so it is where that one has no value."""

    inner: Predicate

    def __repr__(self) -> str:
        inner = self.inner
        if isinstance(inner, Comparison) and inner.operator == "==":
            return f"{inner.left!r} != {inner.right!r}"
        return f"~({inner!r})" if isinstance(inner, And | Or | Comparison) else f"~{inner!r}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Changed(Predicate):
    """What is stored before and after differs."""

    field: FieldPath

    def __repr__(self) -> str:
        return f"changed({self.field!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison(Predicate):
    """A value against a constant or another value."""

    operator: Operator
    left: "Operand[Any]"
    right: Any

    def __repr__(self) -> str:
        return f"{self.left!r} {self.operator} {self.right!r}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OneOf(Predicate):
    """A value is one of several."""

    left: "Operand[Any]"
    values: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"{self.left!r}.in_({', '.join(map(repr, self.values))})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StartsWith(Predicate):
    """A text begins so."""

    left: "Operand[Any]"
    prefix: str

    def __repr__(self) -> str:
        return f"{self.left!r}.startswith({self.prefix!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Exists(Predicate):
    """The attribute is stored, as a value of its type."""

    left: "Operand[Any]"

    def __repr__(self) -> str:
        return f"{self.left!r}.exists()"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ByTtl(Predicate):
    """The item expired."""

    def __repr__(self) -> str:
        return "by_ttl()"


class Operand(Generic[V]):
    """The value of a field before or after the change: compare it. Made by `old(…)` and `new(…)`."""

    __slots__ = ("field", "side")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, side: Side, field: FieldPath) -> None:
        self.side: Side = side
        self.field = field

    def __repr__(self) -> str:
        return f"{self.side}({self.field!r})"

    def __eq__(self, other: "V | int | Operand[V] | None") -> Predicate:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: "V | int | Operand[V] | None") -> Predicate:  # type: ignore[override]
        return Not(self._compare("==", other))

    def __lt__(self, other: "V | int | Operand[V]") -> Predicate:
        return self._compare("<", other)

    def __le__(self, other: "V | int | Operand[V]") -> Predicate:
        return self._compare("<=", other)

    def __gt__(self, other: "V | int | Operand[V]") -> Predicate:
        return self._compare(">", other)

    def __ge__(self, other: "V | int | Operand[V]") -> Predicate:
        return self._compare(">=", other)

    def in_(self, *values: V | int | None) -> Predicate:
        """Whether it is one of these: `new(Order.status).in_("paid", "sent")`. Raises: SettingsError."""
        if len(values) == 1 and isinstance(values[0], list | tuple | set | frozenset):
            raise SettingsError(f"{self!r}.in_({values[0]!r}): write the values one by one: .in_(*values)")
        if not values:
            raise SettingsError(f"{self!r}.in_(): without a value it can never be true")
        return OneOf(self, tuple(constant(self.field, value) for value in values))

    def startswith(self, prefix: str) -> Predicate:
        """Whether it is a text that begins so. Raises: SettingsError."""
        if "str" not in _words(self.field):
            raise SettingsError(
                f"{self!r}.startswith({prefix!r}): {self.field!r} is {self.field._codec.words}, and "
                "only a str begins with something"
            )
        text: object = prefix
        if not isinstance(text, str) or not text:
            raise SettingsError(f"{self!r}.startswith({prefix!r}): write a text that is not empty")
        return StartsWith(self, prefix)

    def exists(self) -> Predicate:
        """Whether the attribute is stored as a value of its type: defaults do not count, nor does NULL."""
        return Exists(self)

    def _compare(self, operator: Operator, other: Any) -> Predicate:
        if isinstance(other, FieldPath):
            raise SettingsError(f"{self!r} {operator} {other!r}: write old({other!r}) or new({other!r})")
        if operator != "==":
            self._check_ordered(operator)
        if not isinstance(other, Operand):
            if operator != "==" and other is None:
                raise SettingsError(
                    f"{self!r} {operator} None: nothing is more or less than None; .exists() asks "
                    "whether it is there"
                )
            return Comparison(operator, self, constant(self.field, other))
        if not (_kinds(self.field) & _kinds(other.field)):
            raise SettingsError(
                f"{self!r} {operator} {other!r}: {self.field._codec.words} and "
                f"{other.field._codec.words} cannot be compared"
            )
        return Comparison(operator, self, other)

    def _check_ordered(self, operator: Operator) -> None:
        if not _words(self.field) <= set(ORDERED):
            raise SettingsError(
                f"{self!r} {operator} …: {self.field._codec.words} has no order; == and .in_(…) compare it"
            )


def _words(field: FieldPath) -> set[str]:
    return set(field._codec.words.split(" | ")) - {"None"}


def _kinds(field: FieldPath) -> frozenset[str]:
    return field._codec.kinds - {"NULL"}


def constant(field: FieldPath, value: Any) -> Any:
    """A constant as the field would decode it. Raises: SettingsError when it is no value of the field."""
    if isinstance(value, Operand | Predicate | FieldPath):
        raise SettingsError(f"{field!r}: {value!r} is no constant")
    try:
        return field._codec.decode(attribute_of(field, value))
    except (*MISFITS, ApiError) as error:
        raise SettingsError(
            f"{field!r} is {field._codec.words}, and {value!r} is no value of it: {error}"
        ) from error


def attribute_of(field: FieldPath, value: Any) -> AttributeValue:
    """A constant as it is stored, canonical. Raises: one of MISFITS, ApiError."""
    return read_value(field._codec.encode(value))


def _predicate(value: object, sign: str) -> Predicate:
    if isinstance(value, Predicate):
        return value
    raise SettingsError(_brackets(value, sign, f"… {sign} {value!r}"))


def _brackets(value: object, sign: str, words: str) -> str:
    return (
        f"{words}: {value!r} is no predicate; comparisons need brackets around them: (new(Order.total) > "
        f"100) {sign} (…)"
    )


def needs_history(predicate: Predicate) -> bool:
    """Whether it asks how an item changed: what a scan shows, the item as it is, does not answer it."""
    match predicate:
        case And(parts) | Or(parts):
            return any(needs_history(part) for part in parts)
        case Not(inner):
            return needs_history(inner)
        case Comparison(left=left, right=right):
            sides = [operand.side for operand in (left, right) if isinstance(operand, Operand)]
            return "old" in sides
        case OneOf(left=left) | StartsWith(left=left) | Exists(left=left):
            return left.side == "old"
    return True


# ---- the words ---------------------------------------------------------------------------------------------


def _field(word: str, field: object) -> FieldPath:
    if isinstance(field, FieldPath):
        return field
    raise SettingsError(f"{word}({field!r}): it takes a field of an entity, as in {word}(Order.status)")


def changed(field: object) -> Predicate:
    """Whether the field is stored differently afterwards; so it is by an insertion and a removal.

    Raises:  SettingsError.
    """
    return Changed(_field("changed", field))


def new(field: V) -> Operand[V]:
    """The field's value after the change. Raises: SettingsError."""
    return Operand("new", _field("new", field))


def old(field: V) -> Operand[V]:
    """The field's value before the change. Raises: SettingsError."""
    return Operand("old", _field("old", field))


def by_ttl() -> Predicate:
    """Whether the item expired, rather than being deleted by a request."""
    return ByTtl()


# ---- judging -----------------------------------------------------------------------------------------------


def asks_for_change(predicate: Predicate) -> str:
    """What in a predicate is of a change, and not of an item as it is now; "": nothing.

    >>> asks_for_change(Not(ByTtl()))
    'by_ttl()'
    """
    match predicate:
        case And(parts) | Or(parts):
            return next((words for part in parts if (words := asks_for_change(part))), "")
        case Not(inner):
            return asks_for_change(inner)
        case Changed() | ByTtl():
            return repr(predicate)
        case Comparison(_, left, right):
            sides = [side for side in (left, right) if isinstance(side, Operand) and side.side == "old"]
            return repr(sides[0]) if sides else ""
        case OneOf(left=left) | StartsWith(left=left) | Exists(left=left):
            return repr(left) if left.side == "old" else ""
    return ""


def compiled(predicate: Predicate) -> Judge:
    """The predicate as a function of a change, which never raises. Raises: SettingsError for no predicate."""
    match predicate:
        case And(parts):
            judges = [compiled(part) for part in parts]
            return lambda change: all(judge(change) for judge in judges)
        case Or(parts):
            judges = [compiled(part) for part in parts]
            return lambda change: any(judge(change) for judge in judges)
        case Not(inner):
            judge = compiled(inner)
            return lambda change: not judge(change)
        case Changed(field):
            find = _finder(field)
            return lambda change: find(change.raw_old) != find(change.raw_new)
        case Comparison(operator, left, right):
            return _comparison(operator, left, right)
        case OneOf(left, values):
            read = reader(left)
            return lambda change: any(read(change) == value for value in values)
        case StartsWith(left, prefix):
            read = reader(left)
            return lambda change: isinstance(text := read(change), str) and text.startswith(prefix)
        case Exists(left):
            return _existence(left)
        case ByTtl():
            return lambda change: change.by_ttl
    raise SettingsError(f"{predicate!r} is no predicate")


def _comparison(operator: Operator, left: Operand[Any], right: Any) -> Judge:
    read, compare = reader(left), COMPARE[operator]
    other: Reader = reader(right) if isinstance(right, Operand) else (lambda change: right)

    def judge(change: Change[Any]) -> bool:
        try:
            return bool(compare(read(change), other(change)))
        except TypeError:  # no value, None, or a time with a zone beside one without: they have no order
            return False

    return judge


def _existence(left: Operand[Any]) -> Judge:
    find, image, kinds = _finder(left.field), _image(left.side), _kinds(left.field)

    def judge(change: Change[Any]) -> bool:
        attribute = find(image(change))
        return attribute is not None and not kinds.isdisjoint(attribute)

    return judge


def reader(operand: Operand[Any]) -> Reader:
    """The value of an operand in a change, as the decoded object would have it; ABSENT: there is none."""
    field, image = operand.field, _image(operand.side)
    decode, steps = field._codec.decode, tuple(zip(field._path, field._defaults, strict=True))
    from_key = field._entity.from_key if field._is_of_key else None

    def read(change: Change[Any]) -> Any:
        place = image(change)
        attribute: AttributeValue | None = None
        try:
            for name, default in steps:
                if place is None:  # no image; or a model on the way is NULL, or no map at all
                    return ABSENT
                attribute = place.get(name)
                if attribute is None and from_key is not None:
                    attribute = from_key(place).get(name)
                if attribute is None:
                    return ABSENT if default is None or (value := default()) is MISSING else value
                place = attribute.get("M")
            return ABSENT if attribute is None else decode(attribute)
        except MISFITS:
            return ABSENT

    return read


def _image(side: Side) -> Callable[[Change[Any]], Item | None]:
    return operator.attrgetter(f"raw_{side}")


def _finder(field: FieldPath) -> Callable[[Item | None], AttributeValue | None]:
    return _finder_of(field._path)


def _finder_of(path: tuple[str, ...]) -> Callable[[Item | None], AttributeValue | None]:
    first, *others = path

    def find(item: Item | None) -> AttributeValue | None:
        attribute = None if item is None else item.get(first)
        for name in others:
            inside = None if attribute is None else attribute.get("M")
            attribute = None if inside is None else inside.get(name)
        return attribute

    return find


def fields_of(predicate: Predicate) -> Iterator[FieldPath]:
    """Every field that a predicate asks for."""
    match predicate:
        case And(parts) | Or(parts):
            for part in parts:
                yield from fields_of(part)
        case Not(inner):
            yield from fields_of(inner)
        case Changed(field):
            yield field
        case Comparison(_, left, right):
            yield left.field
            if isinstance(right, Operand):
                yield right.field
        case OneOf(left) | StartsWith(left) | Exists(left):
            yield left.field
