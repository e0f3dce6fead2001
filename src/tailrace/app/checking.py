"""What is wrong between a handler, its target, its predicate and its time-out: refused where the app loads.

Rules of this file: it looks at functions and calls none. Refusals, and which functions run on the loop and
can therefore have a time-out; each names the handler with its line and says how to fix it.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, get_args, get_origin

from tailrace.app.change import Batch, Change
from tailrace.app.entity import Entity
from tailrace.app.explain import alternatives, target_words
from tailrace.app.predicates import Predicate, fields_of
from tailrace.app.record import Record, Records
from tailrace.app.table import Changes
from tailrace.errors import SettingsError

FORMS: Final[Mapping[str, type]] = {"on": Change, "batch": Batch}
DATA_FORMS: Final[Mapping[str, type]] = {"on": Record, "batch": Records}


def check_given(place: str, kind: str, annotation: Any, changes: Changes[Entity[Any]]) -> None:
    """Refuse a first argument that is not what comes. Raises: SettingsError."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    form, inside = get_origin(annotation) or annotation, get_args(annotation)
    forms = DATA_FORMS if changes.table.is_data else FORMS
    wanted = forms[kind]
    if form is changes.table or (changes.entity is not None and form is changes.entity.cls):
        raise SettingsError(
            f"{place}: it is given a {wanted.__name__}, not the item itself: change: "
            f"{_shown(wanted, changes)}"
        )
    known = {*FORMS.values(), *DATA_FORMS.values()}
    if form in known and not issubclass(wanted, form):
        other = "app.batch" if kind == "on" else "app.on"
        raise SettingsError(
            f"{place}: app.{kind} gives it a {wanted.__name__}: write {_shown(wanted, changes)}, or "
            f"declare it with @{other}"
        )
    if form is not wanted or not inside or inside[0] in (Any, object):
        return
    of, wants = dict if changes.entity is None else changes.entity.cls, get_origin(inside[0]) or inside[0]
    if isinstance(wants, type) and not issubclass(of, wants) and wants is not dict:
        raise SettingsError(
            f"{place}: it is declared on {changes.entity or changes.table.name!r} and wants "
            f"{wanted.__name__}[{wants.__qualname__}]: write {_shown(wanted, changes)}, or declare it on "
            f"{wants.__qualname__}"
        )


def _shown(form: type, changes: Changes[Entity[Any]]) -> str:
    return form.__name__ if changes.entity is None else f"{form.__name__}[{changes.entity}]"


def check_where(
    place: str, where: Predicate | Callable[[Any], bool] | None, changes: Changes[Entity[Any]]
) -> None:
    """Refuse a predicate that is none, or of another entity. Raises: SettingsError."""
    if where is None:
        return
    if not isinstance(where, Predicate):
        judge: object = where
        if not callable(judge) or isinstance(judge, type):
            raise SettingsError(
                f"{place}: where={where!r} is no predicate: write where=new(Order.status) == 'paid', "
                "or a function of the change"
            )
        return
    for field in fields_of(where):
        if field._entity is not changes.entity:
            on = repr(changes.entity) if changes.entity is not None else f"table {changes.table.name!r}"
            raise SettingsError(
                f"{place}: it is declared on {on} and its predicate asks for {field!r}: declare it on "
                f"{field._entity!r}, or ask for a field of its own entity"
            )
    if not alternatives(changes, where):
        raise SettingsError(
            f"{place}: where={where!r} can never be true of {target_words(changes)}, so the handler "
            "would never be called"
        )


LONGEST_S: Final = 900
"""Lambda's longest time-out: what takes longer is not a handler's work."""


def check_timeout(name: str, handler: Callable[..., Any], timeout: Any) -> None:
    """Refuse a time-out that cannot be kept. Raises: SettingsError."""
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_S:
        raise SettingsError(
            f"handler {name!r}: timeout: {timeout!r} is not allowed; it is a number of seconds up to "
            f"{LONGEST_S}"
        )
    if not is_async(handler):
        raise SettingsError(
            f"handler {name!r}: timeout: a thread cannot be ended, so only an `async def` handler "
            "can have one"
        )


def blocks(kind: str, function: Callable[..., Any]) -> bool:
    """Whether calls of a mapping take threads: it is a handler, and no coroutine function."""
    return kind in FORMS and not is_async(function)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function runs on the loop, under its decorators; also an object with `async def __call__`."""
    called = inspect.unwrap(function)
    while isinstance(called, partial):
        called = inspect.unwrap(called.func)
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(type(called).__call__)
