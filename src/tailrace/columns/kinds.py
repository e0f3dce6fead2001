"""The kinds of columns, and what becomes of a column when a value of another kind comes.

Theory of operation: kinds are a lattice. `NOTHING` (only NULLs were seen) is below all, `JSON` above all;
between them stand bool, text, binary and the numbers: int64, decimal, digits, one above the other. `join` is
the least kind above two. A column goes up in place as long as what it holds keeps its meaning (`widened`):
from nothing to anything, and from number to number. It never goes from a number to JSON because one text
came: that value stands in `_extra`, and the column stays what it is. So a row says which type a scalar had.
Rules of this file: numbers are exact. Of a number kind is known how many digits stood before and after the
point, so that a decimal that needs more places is known to have room for them, or not. Decision 66.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.values.canonical import DIGITS
from tailrace.values.types import AttributeValue

Family: TypeAlias = Literal["nothing", "bool", "int64", "decimal", "digits", "text", "binary", "json"]
NUMBERS: Final = frozenset(("int64", "decimal", "digits"))
SMALLEST_INT64: Final = -(2**63)
LARGEST_INT64: Final = 2**63 - 1
INT64_DIGITS: Final = 19


class Kind(Struct, frozen=True):
    """What a column holds.

    Shape:   `whole` and `scale` are the most digits before and after the point; only numbers have them.
             A decimal is DECIMAL(38, scale) and has room for `whole`: together they are 38 at most. `digits`
             are numbers that fit no decimal of 38 digits: a text, exact.
    """

    family: Family
    whole: int = 0
    scale: int = 0

    @property
    def is_number(self) -> bool:
        """Whether values of DynamoDB's type N are in it."""
        return self.family in NUMBERS

    @property
    def stored(self) -> tuple[Family, int]:
        """What a target must know: two kinds of which it is the same need no ALTER between them."""
        return self.family, self.scale

    def __str__(self) -> str:
        return f"decimal({DIGITS},{self.scale})" if self.family == "decimal" else self.family


NOTHING: Final = Kind("nothing")
BOOL: Final = Kind("bool")
INT64: Final = Kind("int64")
DIGITS_AS_TEXT: Final = Kind("digits")
TEXT: Final = Kind("text")
BINARY: Final = Kind("binary")
JSON: Final = Kind("json")

OF_TYPE: Final = {
    "NULL": NOTHING, "BOOL": BOOL, "S": TEXT, "B": BINARY,
    "L": JSON, "M": JSON, "SS": JSON, "NS": JSON, "BS": JSON,
}  # fmt: skip
"""The kind that a value of a DynamoDB type has; that of a number depends on its digits."""


def decimal(whole: int, scale: int) -> Kind:
    """The kind of numbers with so many digits before and after the point: digits, where 38 are not enough.

    >>> str(decimal(30, 8)), str(decimal(31, 8))
    ('decimal(38,8)', 'digits')
    """
    return Kind("decimal", whole, scale) if whole + scale <= DIGITS else DIGITS_AS_TEXT


def number_kind(text: str) -> Kind:
    """The least kind of one normalised number.

    >>> number_kind("-12"), str(number_kind("9223372036854775808")), str(number_kind("0.25"))
    (Kind(family='int64', whole=2, scale=0), 'decimal(38,0)', 'decimal(38,2)')
    """
    whole, _, fraction = text.removeprefix("-").partition(".")
    digits = 0 if whole == "0" else len(whole)
    if not fraction and (
        digits < INT64_DIGITS or (digits == INT64_DIGITS and SMALLEST_INT64 <= int(text) <= LARGEST_INT64)
    ):
        return Kind("int64", digits)
    return decimal(digits, len(fraction))


def largest_int64(kind: Kind) -> int:
    """The largest integer that needs no wider kind than this one of integers; its negative is the smallest.

    >>> largest_int64(Kind("int64", 3)), largest_int64(Kind("int64", 19)) == LARGEST_INT64
    (999, True)
    """
    return min(int(10**kind.whole) - 1, LARGEST_INT64)


def kind_of(value: AttributeValue) -> Kind:
    """The least kind of one canonical value.

    >>> str(kind_of({"S": "a"})), str(kind_of({"L": []})), str(kind_of({"N": "1.5"}))
    ('text', 'json', 'decimal(38,1)')
    """
    for type_, content in value.items():
        return number_kind(content) if type_ == "N" else OF_TYPE[type_]
    return NOTHING


def join(a: Kind, b: Kind) -> Kind:
    """The least kind above both: commutative, associative, idempotent.

    >>> str(join(INT64, number_kind("0.25"))), str(join(TEXT, INT64)), str(join(NOTHING, BOOL))
    ('decimal(38,2)', 'json', 'bool')
    """
    if a == b or b == NOTHING:
        return a
    if a == NOTHING:
        return b
    if not (a.is_number and b.is_number):
        return JSON
    if "digits" in (a.family, b.family):
        return DIGITS_AS_TEXT
    whole, scale = max(a.whole, b.whole), max(a.scale, b.scale)
    return Kind("int64", whole) if a.family == b.family == "int64" else decimal(whole, scale)


def widened(column: Kind, seen: Kind) -> Kind | None:
    """What a column becomes that is to hold such values as well; None where they have no place in it.

    >>> str(widened(INT64, number_kind("0.5"))), widened(INT64, TEXT), str(widened(JSON, TEXT))
    ('decimal(38,1)', None, 'json')
    """
    above = join(column, seen)
    return above if column in (NOTHING, JSON) or above.family != "json" else None
