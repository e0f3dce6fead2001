"""What a table's `Item` classes say of the columns of its items: names, keys, kinds.

Rules of this file: a field's kind is what its codec writes. What is always of one scalar type has a column of
it; what may be of several, lists, models and sets are JSON. Times are what is stored: a text, or with `Epoch`
a number. Stands alone because sinks and the command line ask it, and an app that has neither never does.
"""

from typing import Final

from tailrace.app.codec import Codec
from tailrace.app.entity import Entity
from tailrace.app.table import Table, key_names
from tailrace.columns.entities import DeclaredEntity
from tailrace.columns.kinds import BINARY, INT64, JSON, NOTHING, OF_TYPE, TEXT, Kind

PLACES: Final = 9
"""A decimal column begins with so many places, so that few values widen it: 29 digits are left."""
DECIMALS: Final = frozenset(("Decimal", "float"))
OF_KEY: Final = {"S": TEXT, "N": INT64, "B": BINARY}


def declared_entities(table: Table) -> list[DeclaredEntity]:
    """The classes of a table, in the order of their declaration. Raises: SettingsError for one that cannot be
    read.
    """
    return [_declared(entity) for entity in table.entities]


def _declared(entity: Entity[object]) -> DeclaredEntity:
    model, table = entity.model, entity.table
    types = dict(zip(key_names(table), (table.pk_type, table.sk_type), strict=False))
    kinds = {name: OF_KEY[type_] for name, type_ in types.items()}
    for part in entity.index_parts:
        kinds[part.attribute] = OF_KEY[part.kind]
    for attribute, field in model.attributes.items():
        kinds[attribute] = kind_of_field(field.codec)
    return DeclaredEntity(entity.cls.__name__, entity.key_words, entity.fits, kinds)


def kind_of_field(codec: Codec) -> Kind:
    """What its column holds: JSON where the codec writes more than one type."""
    types = codec.kinds - {"NULL"}
    if not types:
        return NOTHING
    if len(types) > 1:
        return JSON
    (type_,) = types
    if type_ != "N":
        return OF_TYPE[type_]
    return Kind("decimal", 0, PLACES) if codec.words.removesuffix(" | None") in DECIMALS else INT64
