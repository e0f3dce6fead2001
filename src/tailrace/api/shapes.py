"""The shapes of request members, as data: what type each has and which constraints AWS's service model puts on it.

Rules of this file: declarations only; `api.validation` compiles them. Names, ranges, patterns and enums are those of
the service model; paths in messages come from the names. Used by `api.dynamodb.parameters` and every operation.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

NAME_PATTERN: Final = "[a-zA-Z0-9_.-]+"


class Text(Struct, frozen=True):
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


class Moment(Struct, frozen=True):
    """A point in time: seconds since the epoch, perhaps with a fraction."""


class Flag(Struct, frozen=True):
    """A boolean."""


class Many(Struct, frozen=True):
    """A list."""

    of: "Shape"
    minimum: int = 0
    maximum: int | None = None


class Mapped(Struct, frozen=True):
    """A map from strings."""

    of: "Shape"
    minimum: int = 0
    maximum: int | None = None
    key: Text = Text()


class Structure(Struct, frozen=True):
    """Named members; the required ones may not be absent or null."""

    members: Mapping[str, "Shape"]
    required: frozenset[str] = frozenset()
    name: str = "Structure"


class Values(Struct, frozen=True):
    """A map from attribute names to attribute values: `values.wire` reads and checks it."""


class AnyValue(Struct, frozen=True):
    """One attribute value: `values.wire` reads and checks it."""


class Anything(Struct, frozen=True):
    """A member that is accepted and not looked into."""


Shape: TypeAlias = Text | Whole | Moment | Flag | Many | Mapped | Structure | Values | AnyValue | Anything


class Input(Struct, frozen=True):
    """What one operation takes.

    Shape:   `structure` checks; `refused` names members that Tailrace does not emulate yet, with the values of them that
             are harmless (`None`: no value is); `limited` is the same, refused by the operation's own code.
    """

    structure: Structure
    refused: Mapping[str, object] = field(default_factory=dict)
    limited: Mapping[str, object] = field(default_factory=dict)


def structure(name: str, /, *required: str, **members: Shape) -> Structure:
    """A structure in one line."""
    return Structure(members, frozenset(required), name)


TABLE_NAME: Final = Text(3, 255, NAME_PATTERN, is_table=True)
NEW_TABLE_NAME: Final = Text(3, 255, NAME_PATTERN)
INDEX_NAME: Final = Text(3, 255, NAME_PATTERN)
KEY_NAME: Final = Text(1, 255)
POSITIVE: Final = Whole(1)
POSITIVE_LONG: Final = Whole(1, kind="Long")
LONG: Final = Whole(kind="Long")
THROUGHPUT: Final = structure(
    "ProvisionedThroughput", "ReadCapacityUnits", "WriteCapacityUnits",
    ReadCapacityUnits=POSITIVE_LONG, WriteCapacityUnits=POSITIVE_LONG,
)  # fmt: skip
BILLING_MODE: Final = Text(choices=("PROVISIONED", "PAY_PER_REQUEST"))
TABLE_CLASS: Final = Text(choices=("STANDARD", "STANDARD_INFREQUENT_ACCESS"))
SSE: Final = structure(
    "SSESpecification", Enabled=Flag(), SSEType=Text(choices=("AES256", "KMS")), KMSMasterKeyId=Text()
)
WARM_THROUGHPUT: Final = structure(
    "WarmThroughput", ReadUnitsPerSecond=POSITIVE_LONG, WriteUnitsPerSecond=POSITIVE_LONG
)
ON_DEMAND_THROUGHPUT: Final = structure(
    "OnDemandThroughput", MaxReadRequestUnits=LONG, MaxWriteRequestUnits=LONG
)
TAG_LIST: Final = Many(structure("Tag", "Key", "Value", Key=Text(1, 128), Value=Text(0, 256)))
RESOURCE_ARN: Final = Text(1, 1283)
REVISION: Final = Text(1, 255)
STREAM: Final = structure(
    "StreamSpecification", "StreamEnabled",
    StreamEnabled=Flag(), StreamViewType=Text(choices=("NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY")),
)  # fmt: skip
KEY_ELEMENT: Final = structure(
    "KeySchemaElement", "AttributeName", "KeyType",
    AttributeName=KEY_NAME, KeyType=Text(choices=("HASH", "RANGE")),
)  # fmt: skip
KEY_SCHEMA: Final = Many(KEY_ELEMENT, 1, 2)
INDEX_KEY_SCHEMA: Final = Many(KEY_ELEMENT, 1, 8)
ATTRIBUTE_DEFINITIONS: Final = Many(
    structure(
        "AttributeDefinition", "AttributeName", "AttributeType",
        AttributeName=KEY_NAME, AttributeType=Text(choices=("S", "N", "B")),
    )
)  # fmt: skip
PROJECTION: Final = structure(
    "Projection",
    ProjectionType=Text(choices=("ALL", "KEYS_ONLY", "INCLUDE")), NonKeyAttributes=Many(KEY_NAME, 1, 20),
)  # fmt: skip
ON_DEMAND: Final = structure("OnDemandThroughput", MaxReadRequestUnits=LONG, MaxWriteRequestUnits=LONG)
WARM: Final = structure("WarmThroughput", ReadUnitsPerSecond=LONG, WriteUnitsPerSecond=LONG)
LOCAL_INDEX: Final = structure(
    "LocalSecondaryIndex", "IndexName", "KeySchema", "Projection",
    IndexName=INDEX_NAME, KeySchema=KEY_SCHEMA, Projection=PROJECTION,
)  # fmt: skip
GLOBAL_INDEX: Final = structure(
    "GlobalSecondaryIndex", "IndexName", "KeySchema", "Projection",
    IndexName=INDEX_NAME, KeySchema=INDEX_KEY_SCHEMA, Projection=PROJECTION, ProvisionedThroughput=THROUGHPUT,
    OnDemandThroughput=ON_DEMAND, WarmThroughput=WARM,
)  # fmt: skip
INDEX_UPDATES: Final = Many(
    structure(
        "GlobalSecondaryIndexUpdate",
        Update=structure(
            "UpdateGlobalSecondaryIndexAction", "IndexName",
            IndexName=INDEX_NAME, ProvisionedThroughput=THROUGHPUT, OnDemandThroughput=ON_DEMAND, WarmThroughput=WARM,
        ),
        Create=structure(
            "CreateGlobalSecondaryIndexAction", "IndexName", "KeySchema", "Projection",
            **GLOBAL_INDEX.members,
        ),
        Delete=structure("DeleteGlobalSecondaryIndexAction", "IndexName", IndexName=INDEX_NAME),
    )
)  # fmt: skip
RETURN_VALUE: Final = Text(choices=("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW"))
RETURN_CAPACITY: Final = Text(choices=("INDEXES", "TOTAL", "NONE"))
RETURN_METRICS: Final = Text(choices=("SIZE", "NONE"))
RETURN_ON_FAILURE: Final = Text(choices=("ALL_OLD", "NONE"))
COMPARISON: Final = Text(
    choices=(
        "IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT", "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE",
        "CONTAINS",
    )
)  # fmt: skip
OPERATOR: Final = Text(choices=("AND", "OR"))
SELECT: Final = Text(choices=("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"))
NAMES: Final = Mapped(Text(0, 65_535))
ATTRIBUTE_LIST: Final = Many(Text(0, 65_535), 1)
STREAM_ARN: Final = Text(37, 1024)
SHARD_ID: Final = Text(28, 65)
