"""A sample of items → the source of `Item` classes that read and write them.

Theory of operation: a class is made for every form of keys that an entity has: its templates, with as many
slots as its keys have segments. A slot is the attribute that says the same in every item of the sample,
padded as its numbers are; where none does, the slot is a field of its own, named by the literal before it. A
field's type holds all its values exactly; it is optional where an item lacks it.
Rules of this file: what no class can hold beside the others (two forms that one key could fit) is said in the
source, not left out in silence.
"""

import keyword
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from tailrace.app.item import TAKEN
from tailrace.app.templates import overlap, parse_template
from tailrace.columns.entities import KeyTemplate
from tailrace.columns.inference import templates_of
from tailrace.values.types import AttributeValue, Item

SCALARS: Final = {"S": "str", "BOOL": "bool", "B": "bytes", "SS": "set[str]", "BS": "set[bytes]"}
PARTING: Final = "#|"
"""Separators that a slot never holds, in templates of classes (templates.py)."""
NAMES: Final = frozenset((
    *keyword.kwlist, *TAKEN, "str", "int", "bool", "bytes", "set", "list", "dict", "Any", "Decimal",
    "Annotated", "Attribute", "App", "Item", "app", "table",
))  # fmt: skip
"""What a field or a class may not be called: the source says it with another meaning."""
WORDS: Final = re.compile(r"[^A-Za-z0-9]+")


class ItemSource(Struct, frozen=True):
    """A module's text.

    Shape:   `written` is class → places of the items in the sample that it reads; `unwritten` counts those
             that no class does.
    """

    text: str
    written: dict[str, list[int]]
    unwritten: int


class _Form(Struct):
    """One class: an entity's items whose keys look alike."""

    name: str
    templates: list[str]
    fields: list[str]
    made_up: list[str]


def item_source(
    table: str, keys: Sequence[tuple[str, str]], items: Sequence[Item], entities: dict[str, list[int]]
) -> ItemSource:
    """The classes of a table; `keys` are names and types of its key attributes, `entities` the places of
    their items in the sample, by name.
    """
    names = [name for name, _ in keys]
    templates = templates_of(items, tuple(names))
    taken = set(NAMES)
    classes: list[str] = []
    written: dict[str, list[int]] = {}
    forms: list[_Form] = []
    unwritten = 0
    for entity, rows in entities.items():
        for likes in _alike(rows, items, names, templates):
            form = _form(entity, [items[row] for row in likes], names, templates[likes[0]], taken)
            clash = next((other for other in forms if _overlap(form.templates, other.templates)), None)
            if clash is not None or not all(form.templates):
                many = (
                    "1 item of the sample has"
                    if len(likes) == 1
                    else f"{len(likes)} items of the sample have"
                )
                why = f"a key could be of it and of {clash.name}" if clash else "a part of its keys is empty"
                shown = ", ".join(map(str, templates[likes[0]]))
                classes.append(f"# {entity} ({shown}): {many} no class: {why}.")
                unwritten += len(likes)
                continue
            taken.add(form.name)
            forms.append(form)
            written[form.name] = likes
            classes.append(_class(form, names, len(likes)))
    return ItemSource(_module(table, keys, classes), written, unwritten)


def _alike(
    rows: Iterable[int],
    items: Sequence[Item],
    names: Sequence[str],
    templates: Sequence[tuple[KeyTemplate, ...]],
) -> list[list[int]]:
    """Rows by templates and by the number of segments, the most frequent form first."""
    forms: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        keys = zip(names, templates[row], strict=True)
        slots = [_slots(template, items[row][name].get("S", "")) for name, template in keys]
        shape = [(len(texts), all(texts)) for texts in slots]
        forms.setdefault((templates[row], *shape), []).append(row)
    return sorted(forms.values(), key=lambda likes: (-len(likes), likes[0]))


def _slots(template: KeyTemplate, key: str) -> list[str]:
    """What stands in the slots of a key."""
    if not template.literals:
        return []
    separator = template.separator
    segments = key.split(separator) if separator else [key]
    end = len(template.parts)
    if template.parts[-1] is None and separator not in PARTING:
        segments = [*segments[: end - 1], separator.join(segments[end - 1 :])]
    literals = dict(enumerate(template.parts))
    return [segment for place, segment in enumerate(segments) if literals.get(place) is None]


# ---- one class ---------------------------------------------------------------------------------------------


class _FieldNames:
    """The fields of one class while its templates are made.

    Shape:   `of` is attribute → field; `made_up` are fields of the key alone, with their text in every item.
    """

    def __init__(self, items: Sequence[Item], keys: Collection[str]) -> None:
        self.items = items
        self.keys = keys
        self.of: dict[str, str] = {}
        self.made_up: dict[str, list[str]] = {}
        for attribute in dict.fromkeys(name for item in items for name in item):
            if attribute not in keys:
                self.of[attribute] = self._free(_identifier(attribute), keys)

    def _free(self, name: str, taken: Iterable[str] = ()) -> str:
        return _unique(name, {*NAMES, *taken, *self.of.values(), *self.made_up})

    def template(self, key: str, template: KeyTemplate) -> str:
        """The template of a key attribute as classes write it; "" where a slot is empty in some item, which
        no template takes.
        """
        if not template.literals:
            self.of[key] = self._free(_identifier(key))
            return "{" + self.of[key] + "}"
        waiting = [*zip(*[_slots(template, item[key]["S"]) for item in self.items], strict=True)]
        written: list[str] = []
        literal, used = "", set[str]()
        for part in (*template.parts, *[None] * len(waiting)):
            if part is not None:
                literal = part or literal
                written.append(part.replace("{", "{{").replace("}", "}}"))
            elif waiting:
                texts = waiting.pop(0)
                if not all(texts):
                    return ""
                slot = self._slot(list(texts), literal, used)
                used.add(slot.partition(":")[0])
                written.append("{" + slot + "}")
        return template.separator.join(written)

    def _slot(self, texts: list[str], literal: str, used: Collection[str]) -> str:
        """What stands in the braces: a field that says the same, or one that is made up for it."""
        wanted = _identifier(literal.lower())
        ranked = sorted(
            self.of.items(), key=lambda pair: (pair[1] != wanted, "id" not in pair[0].lower(), pair)
        )
        for attribute, field in ranked:
            values = [item.get(attribute, {}) for item in self.items]
            if field in used:
                continue
            if [value.get("S") for value in values] == texts:
                return field
            numbers, width = [value.get("N", "") for value in values], len(texts[0])
            if not all(map(str.isdigit, numbers)):
                continue
            if numbers == texts:
                return field
            if [number.zfill(width) for number in numbers] == texts:
                return f"{field}:0{width}"
        for field, known in self.made_up.items():
            if known == texts and field not in used:
                return field
        field = self._free(wanted, {*self.keys, *self.of})
        self.made_up[field] = texts
        return field


def _form(
    entity: str,
    items: Sequence[Item],
    keys: Sequence[str],
    templates: Sequence[KeyTemplate],
    taken: Collection[str],
) -> _Form:
    names = _FieldNames(items, keys)
    texts = [names.template(key, template) for key, template in zip(keys, templates, strict=True)]
    lines = [f"{field}: str" for field in names.made_up]
    first = sorted(names.of.items(), key=lambda pair: pair[0] not in keys)
    lines += [_field(field, attribute, items, attribute in keys) for attribute, field in first]
    camel = "".join(word[:1].upper() + word[1:] for word in WORDS.split(entity))
    name = _unique(camel if camel[:1].isalpha() else f"Item{camel}", taken, between="")
    return _Form(name, texts, lines, list(names.made_up))


def _field(field: str, attribute: str, items: Sequence[Item], is_key: bool) -> str:
    values = [item[attribute] for item in items if attribute in item]
    annotation = _annotation(values)
    is_optional = len(values) < len(items) or any("NULL" in value for value in values)
    if is_optional and not is_key:
        annotation = f"{annotation} | None"
    if field != attribute:
        annotation = f"Annotated[{annotation}, Attribute({attribute!r})]"
    return f"{field}: {annotation}{' = None' if is_optional and not is_key else ''}"


def _annotation(values: Iterable[AttributeValue]) -> str:
    """The type of all of these that are not NULL."""
    given = [value for value in values if "NULL" not in value]
    types = {type_ for value in given for type_ in value}
    if len(types) != 1:
        return "Any"
    (type_,) = types
    contents = [value[type_] for value in given]
    match type_:
        case "N":
            return _number(contents)
        case "NS":
            return f"set[{_number(number for numbers in contents for number in numbers)}]"
        case "L":
            return f"list[{_inside(element for elements in contents for element in elements)}]"
        case "M":
            return f"dict[str, {_inside(member for members in contents for member in members.values())}]"
    return SCALARS[type_]


def _inside(values: Iterable[AttributeValue]) -> str:
    given = list(values)
    annotation = _annotation(given)
    return (
        f"{annotation} | None"
        if annotation != "Any" and any("NULL" in value for value in given)
        else annotation
    )


def _number(texts: Iterable[str]) -> str:
    return "Decimal" if any("." in text for text in texts) else "int"


# ---- text --------------------------------------------------------------------------------------------------


def _identifier(text: str) -> str:
    """
    >>> _identifier("created-at"), _identifier("__typename"), _identifier("2nd"), _identifier("")
    ('created_at', 'typename', 'n2nd', 'field')
    """
    name = WORDS.sub("_", text).strip("_") or "field"
    return f"n{name}" if name[0].isdigit() else name


def _unique(name: str, taken: Collection[str], between: str = "_") -> str:
    made, number = name, 2
    while made in taken:
        made, number = f"{name}{between}{number}", number + 1
    return made


def _overlap(first: Sequence[str], second: Sequence[str]) -> bool:
    if not (all(first) and all(second)):
        return False
    pairs = zip(map(parse_template, first), map(parse_template, second), strict=True)
    return all(overlap(*pair) is not None for pair in pairs)


def _class(form: _Form, names: Sequence[str], count: int) -> str:
    own = [f"{place}={text!r}" for place, text in zip(("pk", "sk"), form.templates, strict=False)]
    head = f"class {form.name}(Item, table=table, {', '.join(own)}):"
    lines = [head, f"    # {count} item{'' if count == 1 else 's'} of the sample"]
    if form.made_up:
        lines.append(f"    # {', '.join(form.made_up)}: of the key; a put writes it as an attribute, too")
    return "\n".join(lines + [f"    {line}" for line in form.fields])


def _module(table: str, keys: Sequence[tuple[str, str]], classes: Sequence[str]) -> str:
    body = "\n\n\n".join(classes)
    lines = [
        f'"""The items of table {table}, as a sample of them says: read it over before you rely on it."""',
        "",
    ]
    if "Decimal" in body:
        lines.append("from decimal import Decimal")
    typing = [name for name in ("Annotated", "Any") if re.search(rf"\b{name}\b", body)]
    if typing:
        lines.append(f"from typing import {', '.join(typing)}")
    if len(lines) > 2:
        lines.append("")
    names = ["App", *(["Attribute"] if "Annotated[" in body else []), "Item"]
    lines += [f"from tailrace import {', '.join(names)}", ""]
    declared = [repr(table)]
    for place, (name, type_) in zip(("pk", "sk"), keys, strict=False):
        declared.append(f"{place}={name!r}")
        if type_ != "S":
            declared.append(f"{place}_type={type_!r}")
    lines += [
        f"app = App({table.rpartition('/')[2]!r})",
        f"table = app.table({', '.join(declared)})",
        "",
        "",
        body,
        "",
    ]
    return "\n".join(lines)
