"""What an operation takes, by its name in AWS's model: the model with the overrides laid over it, as shapes.

Rules of this file: it knows how models are written, never what one says; whatever it makes is made once, at
import. Called by `api.registry` and the operations that check a part of their input themselves.
"""

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, Final

from tailrace.api.models import Operations, Shapes
from tailrace.api.overrides import Patches
from tailrace.api.shapes import (
    Anything,
    AnyValue,
    AttributeMap,
    Binary,
    Flag,
    Many,
    Shape,
    String,
    StringMap,
    Structure,
    Timestamp,
    Whole,
)

VALUE: Final = "AttributeValue"
PLACEHOLDERS: Final = AttributeMap(of_expression=True)
NOTHING: Final[Mapping[str, Any]] = {}


class ServiceModel:
    """A service's operations and shapes by their names; a shape is made when it is asked for, and only once.

    Shape:   `namespace` is that of answers in XML; `is_strict`: no text stands for a boolean;
             `has_blobs`: its blobs are looked at.
    """

    def __init__(
        self,
        operations: Operations,
        shapes: Shapes,
        patches: Patches,
        namespace: str = "",
        *,
        is_strict: bool = False,
        has_blobs: bool = False,
    ) -> None:
        self.operations = operations
        self._has_blobs = has_blobs
        self.namespace = namespace
        self._flag = Flag(is_strict)
        self._shapes = shapes
        self._patches = patches
        self._made: dict[str, Shape] = {}
        if strangers := self.unknown_patches:
            raise LookupError(f"the model has no {', '.join(strangers)}: mend api/overrides.py")

    @cached_property
    def unknown_patches(self) -> list[str]:
        """Overrides of what the model does not have."""
        places = [(name, *name.partition(".")) for name in self._patches]
        return [
            name
            for name, structure, _, member in places
            if structure not in self._shapes
            or (member and member not in self._shapes[structure].get("members", ()))
        ]

    def input(self, operation: str) -> Structure:
        """What an operation takes."""
        name = self.operations[operation]["input"]
        return Structure({}, name=f"{operation}Input") if name is None else self.structure(name)

    def places(self, operation: str) -> Mapping[str, tuple[str, str]]:
        """Which members of an operation do not stand in the body: where, and by what name."""
        places: Mapping[str, tuple[str, str]]
        places = self._model(self.operations[operation]["input"]).get("places", NOTHING)
        return places

    def body(self, operation: str) -> str | None:
        """The member that the whole body is, if it is one."""
        named: str | None = self._model(self.operations[operation]["input"]).get("payload")
        return named

    def _model(self, name: str | None) -> Mapping[str, Any]:
        return NOTHING if name is None else {**self._shapes[name], **self._patches.get(name, NOTHING)}

    def structure(self, name: str) -> Structure:
        """Raises: TypeError when the shape of that name is none, KeyError when there is none."""
        made = self.shape(name)
        if not isinstance(made, Structure):
            raise TypeError(f"{name} is no structure")
        return made

    def shape(self, name: str) -> Shape:
        """Made at its first use. Raises: KeyError."""
        if name not in self._made:
            self._made[name] = self._make(name, self._model(name))
        return self._made[name]

    def _member(self, structure: str, name: str, of: str) -> Shape:
        patch = self._patches.get(f"{structure}.{name}")
        if patch is None:
            return self.shape(of)
        return self._make(of, {**self._model(of), **patch})

    def _make(self, name: str, model: Mapping[str, Any]) -> Shape:
        low, high = model.get("min", 0), model.get("max")
        match model["type"]:
            case _ if name == VALUE:
                return AnyValue()
            case "string":
                return String(
                    low, high, model.get("pattern"), tuple(model.get("enum", ())), model.get("arn", False)
                )
            case "integer" | "long" as kind:
                return Whole(model.get("min"), high, "Long" if kind == "long" else "Integer")
            case "boolean":
                return self._flag
            case "blob" if self._has_blobs:
                return Binary(low, high)
            case "timestamp":
                return Timestamp()
            case "list":
                return Many(self.shape(model["member"]), low, high, model.get("whole", False))
            case "map" if model["value"] == VALUE:
                return PLACEHOLDERS if model.get("placeholders") else AttributeMap()
            case "map":
                key = self.shape(model["key"])
                assert isinstance(key, String)
                return StringMap(self.shape(model["value"]), low, high, key)
            case "structure":
                return self._structure(name, model)
            case _:
                return Anything()

    def _structure(self, name: str, model: Mapping[str, Any]) -> Structure:
        members: Mapping[str, str] = {**model["members"], **model.get("also", NOTHING)}
        last = model.get("last", ())
        names = dict.fromkeys(
            (*model.get("order", ()), *(member for member in members if member not in last), *last)
        )
        made = {member: self._member(name, member, members[member]) for member in names}
        return Structure(made, frozenset(model.get("required", ())), name)


def without(known: Structure, refused: Collection[str]) -> Structure:
    """The same, its refused members not looked into: that they are there is what is wrong with them."""
    members = {name: _closed(shape) if name in refused else shape for name, shape in known.members.items()}
    return Structure(members, known.required, known.name)


def _closed(shape: Shape) -> Shape:
    match shape:
        case Many(minimum=minimum, maximum=maximum):
            return Many(Anything(), minimum, maximum)
        case Structure():
            return Anything()
        case _:
            return shape
