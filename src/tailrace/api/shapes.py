"""The shapes of request members: which type each has and which constraints AWS's service model puts on it.

Rules of this file: declarations only; `api.inputs` makes them out of the service models, `api.validation`
compiles them. Paths in messages come from the members' names.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct, field


class String(Struct, frozen=True):
    """A string. Units: characters."""

    minimum: int = 0
    maximum: int | None = None
    pattern: str | None = None
    choices: tuple[str, ...] = ()
    is_table: bool = False
    """Whether a table's ARN may stand for its name."""


class Whole(Struct, frozen=True):
    """An integer; `kind` is how AWS's messages call it."""

    minimum: int | None = None
    maximum: int | None = None
    kind: Literal["Integer", "Long"] = "Integer"


class Timestamp(Struct, frozen=True):
    """A point in time: seconds since the epoch, perhaps with a fraction."""


class Flag(Struct, frozen=True):
    """A boolean. Shape: `is_strict`: no text stands for one."""

    is_strict: bool = False


class Binary(Struct, frozen=True):
    """Bytes: base64 in JSON, themselves in CBOR. Units: bytes."""

    minimum: int = 0
    maximum: int | None = None


class Many(Struct, frozen=True):
    """A list. Shape: `is_whole`: what is wrong with an element is told of the list."""

    of: "Shape"
    minimum: int = 0
    maximum: int | None = None
    is_whole: bool = False


class StringMap(Struct, frozen=True):
    """A map from strings."""

    of: "Shape"
    minimum: int = 0
    maximum: int | None = None
    key: String = String()


class Structure(Struct, frozen=True):
    """Named members; the required ones may not be absent or null."""

    members: Mapping[str, "Shape"]
    required: frozenset[str] = frozenset()
    name: str = "Structure"


class AttributeMap(Struct, frozen=True):
    """A map from attribute names to attribute values: `values.wire` reads and checks it.

    Shape:   `of_expression` where the names are placeholders of expressions: its values stand alone, and are
             no item.
    """

    of_expression: bool = False


class AnyValue(Struct, frozen=True):
    """One attribute value: `values.wire` reads and checks it."""


class Anything(Struct, frozen=True):
    """A member that is accepted and not looked into."""


Shape: TypeAlias = (
    String
    | Whole
    | Timestamp
    | Flag
    | Binary
    | Many
    | StringMap
    | Structure
    | AttributeMap
    | AnyValue
    | Anything
)


class Input(Struct, frozen=True):
    """What one operation takes.

    Shape:   `structure` checks; `refused` names members that Tailrace does not emulate yet, with the values
             of them that are harmless (`None`: no value is); `limited` is the same, refused by the
             operation's own code.
    """

    structure: Structure
    refused: Mapping[str, object] = field(default_factory=dict)
    limited: Mapping[str, object] = field(default_factory=dict)


def structure(name: str, /, *required: str, **members: Shape) -> Structure:
    """A structure in one line."""
    return Structure(members, frozenset(required), name)
