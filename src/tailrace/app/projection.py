"""A projection as it is declared: a function that adds an item to a state or takes it out, by its sign.

    @app.projection(by=Order.country, version=2)
    def sales(total: Decimal, order: Order, sign: int) -> Decimal:
        return total + sign * order.total

Rules of this file: the function's signature is the configuration; what is wrong with it is refused where the
app is loaded, in words that say how to fix it. Between attribute values it is a
`projections.core.folding.Fold`. Called by declaring.py; run by sinks/projected.py.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

import orjson

from tailrace.app.codec import MISFITS, Codec, UnknownAnnotation, codec_of
from tailrace.app.depends import GIVEN, hints_of, place_of
from tailrace.app.entity import Entity
from tailrace.app.fingerprint import fingerprint
from tailrace.app.grouping import Grouping, grouping_of
from tailrace.app.models import model_codec
from tailrace.app.plain import to_plain_item
from tailrace.app.table import EVENTS, Changes, Table, key_names
from tailrace.errors import ItemError, SettingsError
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_value

Swap: TypeAlias = Literal["auto", "manual"]
UNSET: Final = object()
SHAPE: Final = "def sales(total: Decimal, order: Order, sign: int) -> Decimal"
LARGEST_VERSION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Projection:
    """One version of a projection.

    Shape:   `id` is the name that it is asked by, `into` where its rows are kept (None: the app's own state),
             `swap` who lets a build that has caught up stand for the one before, `combine` makes one state of
             two: shards may keep parts of a group. With `history` a state is of all that was ever there.
    """

    id: str
    version: int
    table: Table
    entity: Entity[Any] | None
    function: Callable[..., Any]
    by: Grouping
    state: Codec
    initial: AttributeValue
    into: Any = None
    swap: Swap = "auto"
    combine: Callable[[Any, Any], Any] | None = None
    history: bool = False

    @property
    def mapping_id(self) -> str:
        """The id of its mapping: another version is another mapping."""
        return mapping_id(self.id, self.version)

    @property
    def fingerprint(self) -> str:
        """What says whether a build was made by this very function."""
        others = (self.by.function, self.combine)
        functions = (self.function, *(function for function in others if function is not None))
        values = (self.by.words, self.initial, *(("history",) if self.history else ()))
        return fingerprint(functions, *values)

    def group_of(self, image: Item) -> str:
        """The key of an image's group. Raises: what the user's code raises, ItemError, TypeError."""
        return self.by.key_of(self._instance(image))

    def folded(self, state: AttributeValue | None, images: Sequence[tuple[Item, int]]) -> AttributeValue:
        """The state after these images. Raises: what the user's function raises, ItemError, TypeError."""
        value = self.state.decode(self.initial if state is None else state)
        for image, sign in images:
            value = self.function(value, self._instance(image), sign)
        return self._encoded(value, self.function)

    def combined(self, states: Sequence[AttributeValue]) -> AttributeValue:
        """One state of several parts. Raises: what the user's function raises, TypeError."""
        assert self.combine is not None
        return self._encoded(reduce(self.combine, map(self.state.decode, states)), self.combine)

    def _encoded(self, value: Any, function: Callable[..., Any]) -> AttributeValue:
        """What a function of the user's returned. Raises: TypeError."""
        try:
            return read_value(self.state.encode(value))
        except MISFITS as error:
            forgotten = ": has it no return?" if value is None else f": {error}"
            raise TypeError(
                f"projection {self.id!r}{place_of(function)} is to return {self.state.words} "
                f"and returned {value!r}{forgotten}"
            ) from error

    def is_of(self, keys: Item) -> bool:
        """Whether an item with this key is one of those that are projected."""
        return self.entity is None or self.table.entities.of(orjson.dumps(keys)) is self.entity

    def keys_of(self, image: Item) -> Item:
        """The key of an image's item."""
        return {name: image[name] for name in key_names(self.table)}

    def _instance(self, image: Item) -> Any:
        return to_plain_item(image) if self.entity is None else self.entity.decode(image)


def mapping_id(id: str, version: int) -> str:
    """The mapping of one version.

    >>> mapping_id("sales", 2)
    'sales@v2'
    """
    return f"{id}@v{version}"


@dataclass(frozen=True, slots=True)
class ProjectionSignature:
    """What the function says: the annotation of its state, the class of the item (None: it says nothing)."""

    place: str
    state: Any
    item: Any


def declared_by(name: str, function: Callable[..., Any]) -> ProjectionSignature:
    """Read the signature. Raises: SettingsError."""
    place = f"projection {name!r}{place_of(function)}"
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(inspect.unwrap(function)):
        raise SettingsError(
            f"{place}: a projection computes and waits for nothing: {SHAPE}, without async and yield"
        )
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{place}: its signature cannot be read: {error}") from error
    wanted = [parameter for parameter in parameters if parameter.default is parameter.empty]
    if (
        len(wanted) != 3
        or any(parameter.kind not in GIVEN for parameter in wanted)
        or wanted != parameters[:3]
    ):
        raise SettingsError(
            f"{place}: it is called with the state, the item and the sign (+1 or −1), and takes "
            f"({', '.join(map(str, parameters))}): {SHAPE}"
        )
    hints = hints_of(place, function, parameters)
    state, item, sign = (hints.get(parameter.name) for parameter in wanted)
    if state is None:
        raise SettingsError(
            f"{place}: say what {wanted[0].name!r} is, as in {wanted[0].name}: Decimal: it is kept as that"
        )
    if sign not in (None, int, Any):
        raise SettingsError(f"{place}: {wanted[2].name!r} is the sign, +1 or −1: {wanted[2].name}: int")
    return ProjectionSignature(place, state, _bare(item))


def check_target(declared: ProjectionSignature, changes: Changes[Entity[Any]]) -> None:
    """Refuse what a projection cannot be of. Raises: SettingsError."""
    place, item = declared.place, declared.item
    if set(changes.events) != set(EVENTS) or changes.unmatched:
        raise SettingsError(
            f"{place}: it follows every change of its items, because each may move one: declare it on "
            f"{changes.entity or 'the table'}, not on some kinds of changes"
        )
    if changes.table.stream in ("KEYS_ONLY", "OLD_IMAGE"):
        raise SettingsError(
            f"{place}: table {changes.table.name!r} has stream={changes.table.stream!r}, and a projection "
            "needs the new image: stream='NEW_AND_OLD_IMAGES' or 'NEW_IMAGE'"
        )
    of = dict if changes.entity is None else changes.entity.cls
    if isinstance(item, type) and item is not Any and not issubclass(of, item):
        raise SettingsError(
            f"{place}: it is declared on {changes.entity or changes.table.name!r}, whose items are "
            f"{of.__qualname__}, and wants {item.__qualname__}: let both name the same"
        )


def projection_of(
    declared: ProjectionSignature,
    changes: Changes[Entity[Any]],
    function: Callable[..., Any],
    *,
    id: str,
    version: int,
    by: Any,
    initial: Any,
    into: Any,
    swap: Swap,
    combine: Callable[[Any, Any], Any] | None = None,
    history: bool = False,
) -> Projection:
    """The projection, when all of it fits. Raises: SettingsError."""
    place = declared.place
    check_target(declared, changes)
    if type(version) is not int or not 1 <= version <= LARGEST_VERSION:
        raise SettingsError(f"{place}: version={version!r} is not allowed; it is a whole number from 1 up")
    if "@" in id or not id:
        raise SettingsError(f"{place}: id={id!r} is not allowed: @ stands before the version")
    if swap not in ("auto", "manual"):
        raise SettingsError(
            f"{place}: swap={swap!r} is not allowed; it is 'auto' (as soon as it has caught up) or "
            "'manual' (tailrace projection swap)"
        )
    _check_into(place, into, changes)
    _check_combine(place, combine, into)
    codec = _state_codec(place, declared.state)
    return Projection(
        id,
        version,
        changes.table,
        changes.entity,
        function,
        grouping_of(place, by, changes.entity),
        codec,
        _initial(place, declared.state, codec, initial),
        into,
        swap,
        combine,
        history,
    )


def _state_codec(place: str, annotation: Any) -> Codec:
    try:
        return codec_of(annotation, model_codec)
    except UnknownAnnotation as error:
        raise SettingsError(
            f"{place}: its state cannot be kept: {error.args[0]}; a dataclass or an Item without a "
            "table holds several values"
        ) from error
    except NameError as error:
        raise SettingsError(
            f"{place}: its state cannot be kept: {error}: define or import it before the projection"
        ) from error


def _initial(place: str, annotation: Any, codec: Codec, initial: Any) -> AttributeValue:
    if initial is UNSET:
        bare = _bare(annotation)
        try:
            value = bare()
        except Exception as error:  # whatever a class raises that cannot be made without arguments
            words = getattr(bare, "__qualname__", bare)
            raise SettingsError(
                f"{place}: {words}() makes no state to begin with ({error}): give initial=…, a value "
                "or a function that makes one"
            ) from error
    else:
        value = initial() if callable(initial) else initial
    try:
        return read_value(codec.encode(value))
    except (*MISFITS, SettingsError, ItemError) as error:
        raise SettingsError(f"{place}: initial={value!r} is not {codec.words}: {error}") from error


def _bare(annotation: Any) -> Any:
    """The class itself: of Annotated[X, …] X, of dict[str, int] dict."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return get_origin(annotation) or annotation


def _check_combine(place: str, combine: object, into: object) -> None:
    if combine is None:
        return
    if not callable(combine) or inspect.iscoroutinefunction(combine):
        raise SettingsError(
            f"{place}: combine={combine!r} is no function that makes one state of two, as operator.add does"
        )
    if into is not None:
        raise SettingsError(
            f"{place}: combine= keeps groups in parts, and who reads into={getattr(into, 'name', into)!r} "
            "would find parts instead of groups: leave one of the two out"
        )


def _check_into(place: str, into: Any, changes: Changes[Entity[Any]]) -> None:
    match into:
        case None:
            return
        case Table():
            if into is changes.table:
                raise SettingsError(
                    f"{place}: into={into.name!r} is the table that it follows: every row would be a "
                    "change again; give it a table of its own"
                )
            if into.sk is None or (into.pk_type, into.sk_type) != ("S", "S"):
                raise SettingsError(
                    f"{place}: into={into.name!r} needs a partition key and a sort key, both texts: "
                    f"app.table({into.name!r}, pk='pk', sk='sk')"
                )
        case _ if not callable(getattr(into, "projection_store", None)):
            raise SettingsError(
                f"{place}: into={into!r} keeps no projections: leave it out, or give an app.table(…) "
                "or sinks.DuckDB(…)"
            )
