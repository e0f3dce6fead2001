"""One key attribute of an entity, of its table or of an index: out of its fields, and back.

Rules of this file: attribute values in and out, one key attribute at a time; whole keys are entity.py's.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from tailrace.app.codec import MISFITS, Codec
from tailrace.app.models import ModelCodec, nearest
from tailrace.app.templates import Slot, Template
from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue
from tailrace.values.wire import read_item


class KeyPart:
    """One key attribute: its template, and the way from a field's value to its text and back."""

    def __init__(
        self, attribute: str, kind: str, template: Template, model: ModelCodec, *, may_lack: bool = False
    ) -> None:
        self.attribute = attribute
        self._may_lack = may_lack
        self.kind = kind
        self.template = template
        self.codecs: dict[str, tuple[Codec, str]] = {}
        for part in template.parts:
            if isinstance(part, Slot):
                self.codecs[part.field] = self._codec(part, model)
        self._check_kind()
        self._checks: list[tuple[int, Codec, str]] = [
            (index, *self.codecs[name])
            for index, name in enumerate(template.fields)
            if self.codecs[name][0].words != "str"
        ]

    @property
    def has_checks(self) -> bool:
        """Whether some text of this form is no key, because a field cannot be read out of it."""
        return bool(self._checks)

    def _codec(self, slot: Slot, model: ModelCodec) -> tuple[Codec, str]:
        field = model.fields.get(slot.field)
        if field is None:
            raise SettingsError(
                f"template {self.template.text!r}: {model.cls.__name__} has no field {slot.field!r}; "
                f"{nearest(slot.field, model.fields)}"
            )
        kinds = field.codec.kinds - {"NULL"}
        can_lack = "NULL" in field.codec.kinds
        if len(kinds) != 1 or not kinds <= {"S", "N", "B"} or (can_lack and not self._may_lack):
            raise SettingsError(
                f"template {self.template.text!r}: {slot.field} is {field.codec.words}, and a key is made of "
                "a text, a number, a date or an enum that is always there"
            )
        (kind,) = kinds
        if slot.width and field.codec.words.removesuffix(" | None") != "int":
            raise SettingsError(
                f"template {self.template.text!r}: {slot.field} is {field.codec.words}; only an int "
                "can be padded"
            )
        if kind == "B" and self.kind != "B":
            raise SettingsError(
                f"template {self.template.text!r}: {slot.field} is bytes, and the key is a text"
            )
        return field.codec, kind

    def _check_kind(self) -> None:
        if self.kind == "S":
            return
        kinds = [kind for _, kind in self.codecs.values()]
        if kinds != [self.kind] or len(self.template.parts) != 1:
            raise SettingsError(
                f"template {self.template.text!r}: the key {self.attribute!r} is of type {self.kind}, so its "
                "template is one field of that type alone, as in '{number}'"
            )

    def format(self, values: Mapping[str, Any]) -> AttributeValue:
        """The key attribute of these field values. Raises: ItemError, MISFITS."""
        texts: dict[str, str] = {}
        for name, (codec, kind) in self.codecs.items():
            attribute = read_item({name: codec.encode(values[name])})[name]
            if self.kind != "S":
                return attribute
            texts[name] = attribute[kind]
        return {"S": self.template.format(texts)}

    def prefix(self, values: Mapping[str, Any]) -> str:
        """How a text key of the fields in `values` begins; "" for other keys. Raises: ItemError, MISFITS."""
        if self.kind != "S":
            return ""
        pairs = {name: pair for name, pair in self.codecs.items() if name in values}
        return self.template.prefix(
            {
                name: read_item({name: codec.encode(values[name])})[name][kind]
                for name, (codec, kind) in pairs.items()
            }
        )

    @property
    def json_pattern(self) -> bytes:
        """What the attribute looks like in the JSON of a key, as `Template.json_pattern` says."""
        value = self.template.json_pattern if self.kind == "S" else rb'[^"\\]+'
        return b'%b:\\{"%b":"%b"\\}' % (re.escape(orjson.dumps(self.attribute)), self.kind.encode(), value)

    def fits(self, attribute: AttributeValue | None) -> bool:
        """Whether a key attribute is of this template."""
        text = None if attribute is None else attribute.get(self.kind)
        if text is None:
            return False
        if self.kind != "S":
            return True
        if not self.codecs:
            return bool(text == self.template.lead)
        texts = self.template.match(text)
        return texts is not None and (
            not self._checks or all(_reads(texts[index], codec, kind) for index, codec, kind in self._checks)
        )

    def parse(self, attribute: AttributeValue | None) -> dict[str, AttributeValue] | None:
        """The fields in a key attribute, as attribute values; None when it is not of this template."""
        if attribute is None or self.kind not in attribute:
            return None
        if self.kind != "S":
            return dict.fromkeys(self.codecs, attribute)
        texts = self.template.parse(attribute["S"])
        if texts is None:
            return None
        fields: dict[str, AttributeValue] = {}
        for name, text in texts.items():
            codec, kind = self.codecs[name]
            value = {kind: text if kind == "S" else _number(text)}
            try:
                codec.decode(value)
            except MISFITS:
                return None
            fields[name] = value
        return fields


def _reads(text: str, codec: Codec, kind: str) -> bool:
    try:
        codec.decode({kind: text if kind == "S" else _number(text)})
    except MISFITS:
        return False
    return True


def _number(text: str) -> str:
    """A number as a key has it, without the zeros that pad it."""
    stripped = text.lstrip("0")
    return text if not text.isdigit() else stripped or "0"
