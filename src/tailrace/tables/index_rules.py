"""How indexes may be declared: the index members of CreateTable and UpdateTable, checked in AWS's words.

Rules of this file: pure; takes members whose JSON types and constraints the server has already checked. What
UpdateTable asks for is checked in two steps: alone (`read_index_updates`) and against the table
(`create_from`). Called by `tables.definition` and `engine.index_lifecycle`. Source: semantics §6.3, §6.6,
§6.11.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import ApiError, validation_error
from tailrace.tables.indexes import IndexDefinition, IndexKind, KeyAttribute
from tailrace.tables.limits import (
    GLOBAL_INDEXES,
    INDEX_HASH_ATTRIBUTES,
    INDEX_RANGE_ATTRIBUTES,
    LOCAL_INDEXES,
    PROJECTED_ATTRIBUTES,
)
from tailrace.tables.options import ON_DEMAND_WARM, limited, warmed
from tailrace.tables.schema import INVALID, KeyType
from tailrace.tables.throughput import UNITS_MISSING, UNITS_REFUSED, check_units

ONE_UPDATE: Final = (
    f"{INVALID}One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
    "GlobalSecondaryIndexUpdate.Delete must not be null"
)
ONE_AT_A_TIME: Final = (
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table"
)
Members = Mapping[str, Any]
Types = Mapping[str, KeyType]


# ---- CreateTable -------------------------------------------------------------------------------------------


def read_indexes(
    payload: Members, hash_name: str, range_name: str | None, types: Types
) -> tuple[IndexDefinition, ...]:
    """Every index of a CreateTable request, the local ones first. Raises: ApiError."""
    local: Sequence[Members] | None = payload.get("LocalSecondaryIndexes")
    others: Sequence[Members] | None = payload.get("GlobalSecondaryIndexes")
    for member, listed in (("LocalSecondaryIndexes", local), ("GlobalSecondaryIndexes", others)):
        if listed is not None and not listed:
            raise _invalid(f"List of {member} is empty")
    if local and range_name is None:
        raise _invalid(
            "Table KeySchema does not have a range key, which is required when specifying a "
            "LocalSecondaryIndex"
        )
    on_demand = payload.get("BillingMode") == "PAY_PER_REQUEST"
    indexes = [_read_local(index, hash_name, types) for index in local or ()]
    indexes += [read_global(index, types, on_demand=on_demand) for index in others or ()]
    if len(local or ()) > LOCAL_INDEXES:
        raise _invalid(f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES}")
    check_together(indexes)
    return tuple(indexes)


def check_together(indexes: Sequence[IndexDefinition]) -> None:
    """What all indexes of one table must be together. Raises: ApiError."""
    if sum(index.kind == "GLOBAL" for index in indexes) > GLOBAL_INDEXES:
        raise _invalid(f"GlobalSecondaryIndex count exceeds the per-table limit of {GLOBAL_INDEXES}")
    for name, count in Counter(index.name for index in indexes).items():
        if count > 1:
            raise _invalid(f"Duplicate index name: {name}")
    projected = sum(len(index.included) for index in indexes)
    if projected > PROJECTED_ATTRIBUTES:
        raise _invalid(
            "Number of projected NonKeyAttributes of all indexes exceeds the per-table limit of "
            f"{PROJECTED_ATTRIBUTES}"
        )


def check_attributes_used(
    types: Types, table_keys: Iterable[str], indexes: Iterable[IndexDefinition]
) -> None:
    """Require that every attribute definition is a key of something. Raises: ApiError."""
    used = dict.fromkeys(table_keys)
    for index in indexes:
        used.update(dict.fromkeys(index.key_names))
    if any(name not in used for name in types):
        raise _invalid(
            f"Some AttributeDefinitions are not used. AttributeDefinitions: [{', '.join(types)}], "
            f"keys used: [{', '.join(used)}]"
        )


def _read_local(members: Members, hash_name: str, types: Types) -> IndexDefinition:
    name: str = members["IndexName"]
    schema: Sequence[Members] = members["KeySchema"]
    check_pair(schema)
    hashes, ranges = _read_key(schema, types)
    if not ranges:
        raise _invalid(f"Index KeySchema does not have a range key for index: {name}")
    if hashes[0].name != hash_name:
        raise _invalid(
            f"Index KeySchema does not have the same leading hash key as table KeySchema for index: {name}. "
            f"index hash key: {hashes[0].name}, table hash key: {hash_name}"
        )
    return _define(members, "LOCAL", hashes, ranges)


def read_global(members: Members, types: Types, *, on_demand: bool) -> IndexDefinition:
    """A global index of CreateTable, or of UpdateTable's Create. Raises: ApiError."""
    hashes, ranges = _read_key(members["KeySchema"], types)
    if len(hashes) > INDEX_HASH_ATTRIBUTES:
        raise _invalid(
            f"Index KeySchema has more than {INDEX_HASH_ATTRIBUTES} HASH attributes: {members['IndexName']}"
        )
    if len(ranges) > INDEX_RANGE_ATTRIBUTES:
        raise _invalid(
            f"Index KeySchema has more than {INDEX_RANGE_ATTRIBUTES} RANGE attributes: {members['IndexName']}"
        )
    throughput: Members | None = members.get("ProvisionedThroughput")
    if on_demand and throughput is not None:
        raise validation_error(UNITS_REFUSED)
    if not on_demand and throughput is None:
        raise validation_error(UNITS_MISSING)
    return _provided(_define(members, "GLOBAL", hashes, ranges), members, on_demand=on_demand)


def _provided(definition: IndexDefinition, members: Members, *, on_demand: bool) -> IndexDefinition:
    """A global index with what is said of its throughput."""
    if (throughput := members.get("ProvisionedThroughput")) is not None:
        units = check_units(throughput, definition.name)
        definition = replace(definition, read_units=units[0], write_units=units[1])
    return rewarmed(relimited(definition, members, on_demand=on_demand), members, on_demand=on_demand)


def provided_units(members: Members) -> tuple[int, int] | None:
    """The units that an update of an index asks for, None: none. Raises: ApiError."""
    throughput: Members | None = members.get("ProvisionedThroughput")
    return None if throughput is None else check_units(throughput, members["IndexName"])


def relimited(definition: IndexDefinition, members: Members, *, on_demand: bool) -> IndexDefinition:
    """An index with the OnDemandThroughput of a request, if it has one. Raises: ApiError."""
    limits: Members | None = members.get("OnDemandThroughput")
    if limits is None:
        return definition
    before = definition.most_read_units, definition.most_write_units
    reads, writes = limited(before, limits, on_demand=on_demand)
    return replace(definition, most_read_units=reads, most_write_units=writes)


def rewarmed(definition: IndexDefinition, members: Members, *, on_demand: bool) -> IndexDefinition:
    """An index with the WarmThroughput of a request, if it has one. Raises: ApiError."""
    throughput: Members | None = members.get("WarmThroughput")
    if throughput is None:
        return definition
    floor = warm_floor(definition, on_demand=on_demand)
    warm = warmed(definition.warm or floor, floor, throughput, f"index {definition.name}")
    return replace(definition, warm=warm)


def warm_floor(definition: IndexDefinition, *, on_demand: bool) -> tuple[int, int]:
    """The warm throughput that a global index has without asking: (reads, writes) a second."""
    return ON_DEMAND_WARM if on_demand else (definition.read_units, definition.write_units)


def _read_key(
    schema: Sequence[Members], types: Types
) -> tuple[tuple[KeyAttribute, ...], tuple[KeyAttribute, ...]]:
    names = [element["AttributeName"] for element in schema]
    kinds = [element["KeyType"] for element in schema]
    check_elements(schema)
    if kinds != sorted(kinds):  # "HASH" sorts before "RANGE"
        raise validation_error("Invalid KeySchema: HASH key elements must come before RANGE key elements")
    if any(name not in types for name in names):
        raise _invalid(
            "Some index key attributes are not defined in AttributeDefinitions. "
            f"Keys: [{', '.join(names)}], AttributeDefinitions: [{', '.join(types)}]"
        )
    attributes = [KeyAttribute(name, types[name]) for name in names]
    count = kinds.count("HASH")
    return tuple(attributes[:count]), tuple(attributes[count:])


def check_elements(schema: Sequence[Members]) -> None:
    """Require of any key that it begins with a HASH attribute and names none twice. Raises: ApiError."""
    if schema[0]["KeyType"] != "HASH":
        raise validation_error("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if len({element["AttributeName"] for element in schema}) < len(schema):
        raise validation_error("Invalid KeySchema: Some key elements in the KeySchema have the same name")


def check_pair(schema: Sequence[Members]) -> None:
    """Require at most a partition key and a sort key, of a table or a local index. Raises: ApiError."""
    if len(schema) == 2 and schema[0]["KeyType"] == schema[1]["KeyType"] == "HASH":
        raise validation_error("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")


def _define(
    members: Members, kind: IndexKind, hashes: tuple[KeyAttribute, ...], ranges: tuple[KeyAttribute, ...]
) -> IndexDefinition:
    projection: Members = members["Projection"]
    projection_type = projection.get("ProjectionType")
    included: Sequence[str] | None = projection.get("NonKeyAttributes")
    if projection_type is None:
        raise _invalid("Unknown ProjectionType: null")
    if projection_type == "INCLUDE" and included is None:
        raise _invalid("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    if projection_type != "INCLUDE" and included is not None:
        raise _invalid(f"ProjectionType is {projection_type}, but NonKeyAttributes is specified")
    if included is not None and len(set(included)) < len(included):
        raise _invalid(f"NonKeyAttributes of index {members['IndexName']} names an attribute twice")  # [U]
    return IndexDefinition(
        members["IndexName"],
        kind,
        hashes,
        ranges,
        projection_type,
        tuple(included or ()),
    )


# ---- UpdateTable -------------------------------------------------------------------------------------------


class IndexUpdates(Struct, frozen=True):
    """What UpdateTable asks of a table's global indexes.

    Shape:   `create` are the members of at most one new index, `types` the AttributeDefinitions that came
             with it; `changed` maps names to the members of their updates, whose units are judged once the
             index is known.
    """

    create: Members | None = None
    delete: str | None = None
    changed: Mapping[str, Members] | None = None
    types: Types | None = None


def read_index_updates(payload: Members) -> IndexUpdates | None:
    """GlobalSecondaryIndexUpdates; None: there are none. Raises: ApiError."""
    listed: Sequence[Mapping[str, Members]] = payload.get("GlobalSecondaryIndexUpdates") or ()
    definitions: Sequence[Members] = payload.get("AttributeDefinitions") or ()
    if not listed:
        return None
    if any(len(update) != 1 for update in listed):
        raise validation_error(ONE_UPDATE)
    updates = [(action, members) for update in listed for action, members in update.items()]
    for name, count in Counter(members["IndexName"] for _, members in updates).items():
        if count > 1:
            raise _invalid(
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}"
            )
    online = [(action, members) for action, members in updates if action != "Update"]
    if len(online) > 1:
        raise ApiError("LimitExceededException", ONE_AT_A_TIME)
    changes = {members["IndexName"]: members for action, members in updates if action == "Update"}
    created = [members for action, members in online if action == "Create"]
    deleted = [members["IndexName"] for action, members in online if action == "Delete"]
    return IndexUpdates(
        created[0] if created else None,
        deleted[0] if deleted else None,
        changes,
        {
            definition["AttributeName"]: cast(KeyType, definition["AttributeType"])
            for definition in definitions
        },
    )


def create_from(
    updates: IndexUpdates, present: Sequence[IndexDefinition], table_types: Types, *, on_demand: bool
) -> IndexDefinition:
    """The index that UpdateTable adds to those that are there; `table_types` are all attributes defined now.
    The request must define what the index needs, even what the table knows; what else it defines is dropped.

    Raises:  ApiError.
    """
    assert updates.create is not None
    types = updates.types or {}
    needed = [element["AttributeName"] for element in updates.create["KeySchema"]]
    for name, kind in types.items():
        if name in needed and table_types.get(name, kind) != kind:
            raise _invalid(
                f"Attribute {name} is already defined as {table_types[name]}; it cannot be redefined "
                f"as {kind}"
            )
    if updates.create["IndexName"] in {index.name for index in present}:
        raise validation_error("Attempting to create an index which already exists")
    index = read_global(updates.create, types, on_demand=on_demand)
    check_together([*present, index])
    return index


def _invalid(text: str) -> ApiError:
    return validation_error(f"{INVALID}{text}")
