"""Checks of request members against their shapes: types first, then every constraint at once, in AWS's words.

Rules of this file: the usual request passes one predicate a member and nothing else; the walk that finds
words runs only when a predicate says no. Nothing here looks at a table. `compile_input` is called once an
operation, its result once a request, by `api.dispatch`. Source: semantics §6.1.
"""

import re
from binascii import a2b_base64
from collections.abc import Callable, Iterator, Sized
from itertools import islice
from typing import Any, Final, TypeAlias, assert_never

from tailrace.api.shapes import (
    Anything,
    AnyValue,
    AttributeMap,
    Binary,
    Flag,
    Input,
    Many,
    Shape,
    String,
    StringMap,
    Structure,
    Timestamp,
    Whole,
)
from tailrace.api.wire import Payload
from tailrace.api.wordings import Constraint, MapStep, Place, Violation, of_request, refusal
from tailrace.errors import CORAL, ApiError, validation_error
from tailrace.values.wire import read_boolean, read_item, read_value

Predicate: TypeAlias = Callable[[Any], bool]
Check: TypeAlias = Callable[[Payload], Payload]

LEGACY: Final = (
    "AttributesToGet",
    "AttributeUpdates",
    "Expected",
    "QueryFilter",
    "ScanFilter",
    "ConditionalOperator",
    "KeyConditions",
)
EXPRESSIONS: Final = (
    "UpdateExpression",
    "ProjectionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ConditionExpression",
)
MOST_VIOLATIONS: Final = 1_000
"""So many are looked at: a request may have a million."""
LARGEST_LONG: Final = 2**63 - 1
LATEST_MOMENT: Final = 10**12
"""Seconds since the epoch: far beyond every clock, and no infinity."""
TABLE_ARN: Final = re.compile(r"arn:aws[a-z-]*:dynamodb:[a-z0-9-]*:[0-9]*:table/([a-zA-Z0-9_.-]{3,255})")
PACKAGE: Final = "com.amazonaws.dynamodb.v20120810."
NOT_A_CLASS: Final = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
    "java.lang.Class "
    "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module "
    "java.base of loader "
    "'bootstrap')"
)
"""What AWS's reader says of a scalar where a collection stands in a collection. Source: [D]."""


def compile_input(operation_input: Input) -> Check:
    """The check of one operation's members: it returns the payload, without nulls.

    Raises (the check): ApiError SerializationException, or ValidationException with every violated
    constraint.
    """
    members = {name: predicate(shape) for name, shape in operation_input.structure.members.items()}
    required = tuple(
        name for name in operation_input.structure.members if name in operation_input.structure.required
    )
    legacy = frozenset(LEGACY).intersection(operation_input.structure.members)
    refused = legacy.union(operation_input.refused)

    def check(payload: Payload) -> Payload:
        for name, value in payload.items():
            fits = members.get(name)
            if fits is None or not fits(value) or name in refused:
                # what the shapes do not know is left out by the slow walk: no code behind it meets such a
                # member
                break
        else:
            for name in required:
                if name not in payload:
                    break
            else:
                return payload
        return check_slowly(operation_input, payload)

    return check


def check_slowly(operation_input: Input, payload: Payload) -> Payload:
    """The same with words. Raises: ApiError."""
    cleaned: Payload = read_types(operation_input.structure, payload)
    operation = operation_input.structure.name.removesuffix("Input")
    violated = list(islice(violations(operation_input.structure, cleaned), MOST_VIOLATIONS))
    if violated:
        raise refusal(operation, violated, cleaned)
    try:
        refuse_mixture(operation_input.structure, cleaned)
    except ApiError as error:
        raise of_request(operation, error) from None
    for name, harmless in operation_input.refused.items():
        value = cleaned.get(name)
        if value is not None and (harmless is None or value != harmless):
            raise not_emulated(name if harmless is None else f"{name}={value}")
    return cleaned


def refuse_mixture(structure: Structure, payload: Payload) -> None:
    """Legacy parameters beside expressions. Raises: ApiError. Source: semantics §6.4."""
    legacy = [name for name in LEGACY if name in structure.members and name in payload]
    if "KeyConditions" in legacy and "KeyConditionExpression" not in payload:
        legacy.remove("KeyConditions")  # a filter or a projection may be an expression beside it
    expressions = [name for name in EXPRESSIONS if name in payload]
    if legacy and expressions:
        raise validation_error(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(legacy)}}} Expression parameters: "
            f"{{{', '.join(expressions)}}}"
        )


def not_emulated(parameter: str) -> ApiError:
    """What Tailrace says of a parameter that it knows and does not have."""
    return validation_error(
        f"Tailrace does not emulate {parameter} yet. `tailrace coverage` lists what it does."
    )


# ---- the usual request: predicates -------------------------------------------------------------------------


def predicate(shape: Shape) -> Predicate:
    """A fast test of one value. It may refuse what the slow walk accepts, never the other way round."""
    match shape:
        case String():
            return _text_predicate(shape)
        case Whole(minimum, maximum):
            low = -LARGEST_LONG if minimum is None else minimum
            high = LARGEST_LONG if maximum is None else maximum
            return lambda value: type(value) is int and low <= value <= high
        case Timestamp():
            return lambda value: type(value) in (int, float)
        case Flag():
            return lambda value: type(value) is bool
        case Binary():
            return _blob_predicate(shape)
        case AttributeMap() | AnyValue():
            return lambda value: type(value) is dict
        case Anything():
            return lambda value: value is not None
        case Many(of, minimum, maximum):
            element_fits, most = predicate(of), 10**9 if maximum is None else maximum
            return lambda value: (
                type(value) is list and minimum <= len(value) <= most and all(map(element_fits, value))
            )
        case StringMap():
            return _map_predicate(shape)
        case Structure():
            return _structure_predicate(shape)
        case _:
            assert_never(shape)


def _text_predicate(shape: String) -> Predicate:
    if shape.choices:
        choices = frozenset(shape.choices)
        return lambda value: type(value) is str and value in choices
    low, high = shape.minimum, 10**9 if shape.maximum is None else shape.maximum
    if shape.pattern is None:
        return lambda value: type(value) is str and low <= len(value) <= high
    matches = re.compile(shape.pattern).fullmatch
    return lambda value: type(value) is str and low <= len(value) <= high and matches(value) is not None


def _blob_predicate(shape: Binary) -> Predicate:
    low, high = shape.minimum, 10**9 if shape.maximum is None else shape.maximum
    letters = range(-(-low // 3) * 4, high // 3 * 4 + 1)
    """So long is base64 that surely is within the bounds."""
    return lambda value: (
        low <= len(value) <= high if type(value) is bytes else type(value) is str and len(value) in letters
    )


def _map_predicate(shape: StringMap) -> Predicate:
    value_fits, key = predicate(shape.of), predicate(shape.key)
    low, high = shape.minimum, 10**9 if shape.maximum is None else shape.maximum

    def fits(value: Any) -> bool:
        return (
            type(value) is dict
            and low <= len(value) <= high
            and all(map(value_fits, value.values()))
            and all(map(key, value))
        )

    return fits


def _structure_predicate(shape: Structure) -> Predicate:
    members = {name: predicate(member) for name, member in shape.members.items()}
    required = shape.required

    def fits(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys():
            return False
        for (
            name,
            member,
        ) in value.items():  # what the shapes do not know goes the slow way, which leaves it out
            fit = members.get(name)
            if fit is None or not fit(member):
                return False
        return True

    return fits


# ---- types -------------------------------------------------------------------------------------------------


def read_types(shape: Shape, value: Any, *, is_element: bool = False) -> Any:
    """The value with nulls and unknown members left out; `is_element`: it stands in a list or a map, where
    AWS's reader has other words for a wrong type. Raises: ApiError SerializationException.
    """
    match shape:
        case String():
            return _read_text(shape, value)
        case Whole(kind=kind):
            _refuse_collections(value, kind)
            if isinstance(value, bool | str):
                raise _not_convertible(value, kind)
            return _whole(value)
        case Timestamp():
            _refuse_collections(value, "Date")
            if isinstance(value, bool | str):
                raise _not_convertible(value, "Date")
            return max(-LATEST_MOMENT, min(value, LATEST_MOMENT))
        case Flag(is_strict=is_strict):
            if is_strict and type(value) is not bool:
                _refuse_collections(value, "Boolean")
                raise _not_convertible(value, "Boolean")
            return read_boolean(value)
        case Binary():
            return read_blob(value)
        case Many(of):
            if isinstance(value, dict):
                raise serialization_error("Start of structure or map found where not expected")
            if not isinstance(value, list):
                raise serialization_error(NOT_A_CLASS if is_element else "Unexpected field type")
            return [read_types(of, element, is_element=True) for element in value if element is not None]
        case StringMap(of):
            _require_map(value, of, is_element)
            return {
                name: read_types(of, inner, is_element=True)
                for name, inner in value.items()
                if inner is not None
            }
        case Structure():
            return _read_structure(shape, value, is_element)
        case AttributeMap():
            _require_map(value, AnyValue(), is_element)
            return _read_values(value)
        case AnyValue():
            _require_structure(value, "AttributeValue", is_element)
            return _read_one_value(value)
        case Anything():
            return value
        case _:
            assert_never(shape)


def _whole(value: float) -> int:
    """A number as Java narrows it: towards zero, and not beyond the range of a Long."""
    return int(max(-LARGEST_LONG - 1, min(value, LARGEST_LONG)))


def _read_text(shape: String, value: Any) -> str:
    _refuse_collections(value, "String")
    if not isinstance(value, str):
        raise _not_convertible(value, "String")
    return value


def read_blob(value: Any) -> bytes:
    """The bytes of a blob, as JSON or CBOR has it. Raises: ApiError SerializationException.

    >>> read_blob("YQ=="), read_blob(b"a")
    (b'a', b'a')
    """
    if type(value) is bytes:
        return value
    _refuse_collections(value, "String")
    if not isinstance(value, str):
        raise _not_convertible(value, "ByteBuffer")
    try:
        return a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise serialization_error(f"a blob is not base64: {error}") from error


def table_name(name_or_arn: str) -> str:
    """The name of a table that was named, perhaps by its ARN, as constraints see it. Whose ARN it is the
    engine judges.

    >>> table_name("arn:aws:dynamodb:eu-west-1:000000000000:table/orders")
    'orders'
    """
    arn = TABLE_ARN.fullmatch(name_or_arn)
    return name_or_arn if arn is None else arn[1]


def _read_structure(shape: Structure, value: Any, is_element: bool) -> Payload:
    _require_structure(value, shape.name, is_element)
    return {
        name: read_types(shape.members[name], member)
        for name, member in value.items()
        if member is not None and name in shape.members
    }


def _read_values(value: Payload) -> Payload:
    """Only the types of attribute values count at this stage; what else is wrong with them is found later."""
    try:
        read_item(value)
    except ApiError as error:
        if error.code == "SerializationException":
            raise
    return value


def _read_one_value(value: Any) -> Any:
    try:
        read_value(value)
    except ApiError as error:
        if error.code == "SerializationException":
            raise
    return value


def _refuse_collections(value: Any, kind: str) -> None:
    if isinstance(value, list):
        raise serialization_error(f"Unrecognized collection type class java.lang.{kind}")
    if isinstance(value, dict):
        raise serialization_error("Start of structure or map found where not expected")


def _require_structure(value: Any, name: str, is_element: bool) -> None:
    if isinstance(value, list):
        raise serialization_error(f"Unrecognized collection type class {PACKAGE}{name}")
    if not isinstance(value, dict):
        raise serialization_error(
            "Unexpected value type in payload" if is_element else "Unexpected field type"
        )


def _require_map(value: Any, of: Shape, is_element: bool) -> None:
    if isinstance(value, list):
        raise serialization_error(f"Unrecognized collection type {_map_class(of)}")
    if not isinstance(value, dict):
        raise serialization_error(NOT_A_CLASS if is_element else "Unexpected field type")


def _map_class(of: Shape) -> str:
    return f"java.util.Map<java.lang.String, {_java_class(of)}>"


def _java_class(shape: Shape) -> str:
    """What AWS's reader calls the elements of a collection."""
    match shape:
        case Structure(name=name):
            return f"{PACKAGE}{name}"
        case AnyValue():
            return f"{PACKAGE}AttributeValue"
        case Many(of):
            return f"java.util.List<{_java_class(of)}>"
        case StringMap(of):
            return _map_class(of)
        case AttributeMap():
            return _map_class(AnyValue())
        case _:
            return "java.lang.String"


def _not_convertible(value: object, kind: str) -> ApiError:
    match value:
        case bool():
            token = "TRUE_VALUE" if value else "FALSE_VALUE"
        case str():
            token = "STRING_VALUE"
        case int():
            token = "NUMBER_VALUE"
        case _:
            token = "DECIMAL_VALUE"
    return serialization_error(f"{token} cannot be converted to {kind}")


def serialization_error(message: str) -> ApiError:
    """A member has a JSON type that its shape has not."""
    return ApiError("SerializationException", message, prefix=CORAL)


# ---- constraints -------------------------------------------------------------------------------------------


def violations(shape: Shape, value: Any, place: Place = ()) -> Iterator[Violation]:
    """Every violated constraint of a value of the right type, in the order of the members."""
    match shape:
        case Structure():
            for name, member in shape.members.items():
                if name in value:
                    yield from violations(member, value[name], (*place, name))
                elif name in shape.required:
                    yield Violation((*place, name), "missing", None, "Member must not be null")
        case String():
            yield from (Violation(place, kind, value, text) for kind, text in _text_constraints(shape, value))
        case Whole(minimum, maximum):
            if minimum is not None and value < minimum:
                text = f"Member must have value greater than or equal to {minimum}"
                yield Violation(place, "least", value, text)
            if maximum is not None and value > maximum:
                yield Violation(
                    place, "most", value, f"Member must have value less than or equal to {maximum}"
                )
        case Binary(minimum, maximum):
            yield from _length_violations(value, minimum, maximum, place)
        case Many(of, minimum, maximum):
            yield from _length_violations(value, minimum, maximum, place)
            if shape.is_whole:
                yield from _whole_violation(shape, value, place)
                return
            for index, element in enumerate(value, 1):
                yield from violations(of, element, (*place, index))
        case StringMap():
            yield from _map_violations(shape, value, place)
        case Timestamp() | Flag() | AttributeMap() | AnyValue() | Anything():
            return
        case _:
            assert_never(shape)


def _whole_violation(shape: Many, value: list[Any], place: Place) -> Iterator[Violation]:
    """What is wrong with elements of a list, told of the list. Source: semantics §2.2."""
    if texts := dict.fromkeys(
        violation.text for element in value for violation in violations(shape.of, element)
    ):
        yield Violation(place, "choice", value, f"Member must satisfy constraint: [{', '.join(texts)}]")


def _map_violations(shape: StringMap, value: Payload, place: Place) -> Iterator[Violation]:
    yield from _length_violations(value, shape.minimum, shape.maximum, place)
    if any(any(_text_constraints(shape.key, name)) for name in value):  # said once: all of the map is shown
        texts = ", ".join(_every_constraint(shape.key))
        yield Violation(place, "keys", value, f"Map keys must satisfy constraint: [{texts}]")
    for name, inner in value.items():
        yield from violations(shape.of, inner, (*place, MapStep(name)))


def _length_violations(value: Sized, minimum: int, maximum: int | None, place: Place) -> Iterator[Violation]:
    return (Violation(place, kind, value, text) for kind, text in _lengths(len(value), minimum, maximum))


def _text_constraints(shape: String, value: str) -> Iterator[tuple[Constraint, str]]:
    if shape.is_table:
        value = table_name(value)
    if shape.choices and value not in shape.choices:
        yield "choice", f"Member must satisfy enum value set: [{', '.join(shape.choices)}]"
    if shape.pattern is not None and not re.fullmatch(shape.pattern, value):
        yield "pattern", f"Member must satisfy regular expression pattern: {shape.pattern}"
    yield from _lengths(len(value), shape.minimum, shape.maximum)


def _every_constraint(shape: String) -> Iterator[str]:
    """What a map says of its keys: all of their constraints, violated or not."""
    if shape.maximum is not None:
        yield f"Member must have length less than or equal to {shape.maximum}"
    yield f"Member must have length greater than or equal to {shape.minimum}"
    if shape.pattern is not None:
        yield f"Member must satisfy regular expression pattern: {shape.pattern}"


def _lengths(length: int, minimum: int, maximum: int | None) -> Iterator[tuple[Constraint, str]]:
    if length < minimum:
        yield "shortest", f"Member must have length greater than or equal to {minimum}"
    if maximum is not None and length > maximum:
        yield "longest", f"Member must have length less than or equal to {maximum}"
