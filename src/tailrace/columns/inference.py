"""What a sample of items says: the rules that tell its entities apart, and the columns of each.

Theory of operation: first the attribute that names the type. Names that are used for nothing else are
believed; `type` is one when its values have keys or attributes of their own (an account of type `premium` is
no entity). Else keys: a key is split at its first separator of `#|/:`, and walked from its beginning: a
segment is a literal when it is a word that stands there in several keys (or is in upper case) and few words
do; what follows a literal varies. Keys of one segment are literals (`META`) only beside a partition key that
has one. So `USER#{}` with `PROFILE` and with `ORDER#{}` are two entities.
Rules of this file: the order of the sample makes no difference. It only proposes: what is kept in a target
is not learned again.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final

import orjson
from msgspec import Struct

from tailrace.columns.batches import ColumnBatch, columnise
from tailrace.columns.entities import (
    ANY_KEY,
    LONGEST_TYPE,
    TYPE_ATTRIBUTES,
    DeclaredEntity,
    EntityRules,
    EntitySorter,
    KeyedEntity,
    KeyTemplate,
    separator_of,
)
from tailrace.columns.naming import EVERYWHERE, Naming
from tailrace.columns.schema import TableColumns
from tailrace.values.types import AttributeValue, Item

WORD: Final = re.compile(r"[A-Za-z_][A-Za-z_-]*")
UPPER: Final = re.compile(r"[A-Z][A-Z_-]+")
MOST_WORDS: Final = 32
"""More different words at one place are values."""
FEWEST: Final = 2
"""A word in lower case is a literal from so many keys on."""
DEEPEST: Final = 8
MOST_ENTITIES: Final = 100
WITHOUT_NAME: Final = frozenset(("META", "METADATA", "INFO", "ROOT", "A"))
"""Sort keys that say no more than: the item of the partition key itself."""
MOST_EXAMPLES: Final = 3


class Example(Struct, frozen=True):
    """A value that has no place in its column. Shape: `keys` are those of its item."""

    keys: Item
    value: AttributeValue


class EntitySample(Struct, frozen=True):
    """What a sample has of one entity.

    Shape:   `having` counts, by attribute, the items that have it; `examples` are some of the conflicts.
    """

    name: str
    key_words: str
    items: int
    table: TableColumns
    having: dict[str, int]
    conflicts: dict[str, int]
    examples: dict[str, list[Example]]


class Inferred(Struct, frozen=True):
    """What a sample says. Entities with more items come first."""

    rules: EntityRules
    entities: tuple[EntitySample, ...]


def infer(
    items: Sequence[Item],
    table: str,
    keys: tuple[str, ...],
    declared: Sequence[DeclaredEntity] = (),
    naming: Naming = EVERYWHERE,
) -> Inferred:
    """Rules and columns of a table's sample of canonical items; `keys` are its key attributes."""
    rules = learn_rules(items, table, keys, declared)
    entities = EntitySorter(rules, declared)
    rows = entities.rows_of(items)
    order = sorted(rows, key=lambda name: (-len(rows[name]), name))
    tables = entities.new_tables(order, naming)
    samples = [_sample(entities, tables[name], [items[row] for row in rows[name]]) for name in order]
    return Inferred(entities.rules, tuple(samples))


def _sample(entities: EntitySorter, table: TableColumns, items: Sequence[Item]) -> EntitySample:
    batch = columnise(table, items)
    having = Counter(attribute for item in items for attribute in item)
    return EntitySample(
        table.entity,
        entities.key_words(table.entity),
        len(items),
        batch.table,
        dict(having),
        batch.conflicts,
        _examples(batch, items),
    )


def _examples(batch: ColumnBatch, items: Sequence[Item]) -> dict[str, list[Example]]:
    examples: dict[str, list[Example]] = {attribute: [] for attribute in batch.conflicts}
    for item, extra in zip(items, batch.extra, strict=True):
        for attribute in orjson.loads(extra) if extra else ():
            if len(examples[attribute]) < MOST_EXAMPLES:
                keys = {key: item[key] for key in batch.table.keys}
                examples[attribute].append(Example(keys, item[attribute]))
    return examples


# ---- rules -------------------------------------------------------------------------------------------------


def learn_rules(
    items: Sequence[Item], table: str, keys: tuple[str, ...], declared: Sequence[DeclaredEntity] = ()
) -> EntityRules:
    """What tells the entities of a sample apart. None of it when all items look alike."""
    undeclared = [item for item in items if not any(entity.fits(item) for entity in declared)]
    templates = templates_of(undeclared, keys)
    attribute = _type_attribute(undeclared, templates)
    if attribute is not None:
        left = [row for row, item in enumerate(undeclared) if not _type_of(item, attribute)]
        templates = [templates[row] for row in left]
    counts = Counter(templates)
    if not attribute and not declared and len(counts) <= 1 and not _has_literals(counts):
        return EntityRules(table, keys)
    ranked = sorted(counts, key=lambda pair: (-counts[pair], str(pair)))[:MOST_ENTITIES]
    return EntityRules(table, keys, attribute, _named(ranked))


def _has_literals(counts: Iterable[tuple[KeyTemplate, ...]]) -> bool:
    return any(template.literals for pair in counts for template in pair)


def _type_of(item: Item, attribute: str) -> str:
    text = item.get(attribute, {}).get("S", "")
    return text if len(text) <= LONGEST_TYPE else ""


def _type_attribute(items: Sequence[Item], templates: Sequence[tuple[KeyTemplate, ...]]) -> str | None:
    """The attribute that names the type of at least half of the items."""
    for attribute in TYPE_ATTRIBUTES:
        rows: dict[str, list[int]] = {}
        for row, item in enumerate(items):
            if type_ := _type_of(item, attribute):
                rows.setdefault(type_, []).append(row)
        if 2 * sum(map(len, rows.values())) < max(1, len(items)) or len(rows) > MOST_ENTITIES:
            continue
        if attribute != "type" or (len(rows) > 1 and _are_entities(rows, items, templates)):
            return attribute
    return None


def _are_entities(
    rows: Mapping[str, Sequence[int]], items: Sequence[Item], templates: Sequence[tuple[KeyTemplate, ...]]
) -> bool:
    """Whether no two types share a template of keys, or every two have few attributes in common."""
    seen = Counter(pair for places in rows.values() for pair in {templates[row] for row in places})
    if max(seen.values()) == 1:
        return True
    sets = [_common_attributes([items[row] for row in places]) for places in rows.values()]
    return all(2 * len(one & other) < len(one | other) for one, other in combinations(sets, 2))


def _common_attributes(items: Sequence[Item]) -> set[str]:
    """Those that at least half of the items have."""
    counts = Counter(attribute for item in items for attribute in item)
    return {attribute for attribute, count in counts.items() if 2 * count >= len(items)}


# ---- key templates -----------------------------------------------------------------------------------------


def templates_of(items: Sequence[Item], keys: tuple[str, ...]) -> list[tuple[KeyTemplate, ...]]:
    """Of every item of a sample the templates of its keys, the partition key's first."""
    made = [_templates_of([_text(item[keys[0]]) for item in items], [False] * len(items))]
    for key in keys[1:]:
        beside_literals = [bool(template.literals) for template in made[0]]
        made.append(_templates_of([_text(item[key]) for item in items], beside_literals))
    return list(zip(*made, strict=True))


def _text(value: AttributeValue) -> str:
    """What can have literals in it: of a number nothing."""
    return str(value.get("S", ""))


def _templates_of(texts: Sequence[str], beside_literals: Sequence[bool]) -> list[KeyTemplate]:
    """Of every key its template; a key of one segment has a literal only beside another key that has some."""
    separators = [separator_of(text) for text in texts]
    segments = [
        text.split(separator) if separator else [text]
        for text, separator in zip(texts, separators, strict=True)
    ]
    parts: list[list[str | None]] = [[] for _ in texts]
    for depth in range(DEEPEST):
        groups: dict[tuple[str, tuple[str | None, ...]], list[int]] = {}
        for row, split in enumerate(segments):
            if depth < len(split):
                groups.setdefault((separators[row], tuple(parts[row])), []).append(row)
        for rows in groups.values():
            literals = _literals(
                [segments[row] for row in rows if len(segments[row]) > 1 or beside_literals[row]], depth
            )
            for row in rows:
                segment, before = segments[row][depth], parts[row][-1:]
                is_literal = not any(before) and (
                    segment in literals if len(segments[row]) > 1 or beside_literals[row] else False
                )
                parts[row].append(segment if is_literal else None)
    return [_template(separator, part) for separator, part in zip(separators, parts, strict=True)]


def _literals(keys: Sequence[Sequence[str]], depth: int) -> set[str]:
    """Segments of keys that begin alike which are literals at this depth; none when they are many."""
    counts = Counter(key[depth] for key in keys)
    # In lower case the last of several segments is a value more often than not: `order#17#open`.
    ends = {key[depth] for key in keys if depth >= 2 and len(key) == depth + 1}
    words = {
        word
        for word, count in counts.items()
        if UPPER.fullmatch(word) or (WORD.fullmatch(word) and count >= FEWEST and word not in ends)
    }
    return (words if len(words) <= MOST_WORDS else set()) | ({""} if depth == 0 else set())


def _template(separator: str, parts: Sequence[str | None]) -> KeyTemplate:
    """Without the slots behind the last literal but one: it takes what is left."""
    end = max((place for place, part in enumerate(parts) if part), default=-1) + 1
    if not end:
        return ANY_KEY
    return KeyTemplate(separator, tuple(parts[: end + 1]))


def _named(ranked: Iterable[tuple[KeyTemplate, ...]]) -> tuple[KeyedEntity, ...]:
    """Templates with names; those without a literal say nothing, and what fits only them is `_other`."""
    entities: list[KeyedEntity] = []
    taken: set[str] = set()
    for templates in sorted(ranked, key=str):
        words = [literal for template in templates for literal in template.literals]
        if not words:
            continue
        telling = [word for place, word in enumerate(words) if word not in WITHOUT_NAME or not place]
        name = base = "_".join(dict.fromkeys(telling)).lower().replace("-", "_")
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        entities.append(KeyedEntity(name, templates))
    return tuple(entities)
