"""The application: tables and the handlers of their changes.

Rules of this file: it only declares. Nothing is opened, read or started; what is wrong is refused here, where it is
written, in words that name the setting.
"""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Final, Literal, TypeAlias, TypeVar

from tailrace.app.change import Batch, Change
from tailrace.app.filtering import Filter
from tailrace.app.retry import Retry
from tailrace.app.table import EVENTS, Changes, KeyType, Table, changes_of
from tailrace.errors import SettingsError
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.record import ViewType

LONGEST_S: Final = 900
"""Lambda's longest time-out: what takes longer is not a handler's work."""
SETTINGS: Final = {field.name for field in fields(MappingSettings)} - {
    "id", "order", "accepts", "maximum_retry_attempts", "backoff", "report_batch_item_failures", "parallelization_factor",
}  # fmt: skip
"""What a handler may set by keyword, beside what has a word of its own (`retry=`, `where=`)."""
LATER: Final = {
    "once": "writes recorded on change.transaction are already applied once",
    "on_failure": "what is given up is kept whole as a dead letter",
}
Kind: TypeAlias = Literal["on", "batch", "function"]
Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Mapping:
    """One handler on one table. Shape: `target` is what is called; `timeout_s` bounds one call of a coroutine."""

    id: str
    table: Table
    kind: Kind
    target: Callable[..., Any]
    settings: MappingSettings
    timeout_s: float | None = None
    function_name: str = ""


class App:
    """Tables and handlers under one name.

    >>> app = App("shop")
    >>> orders = app.table("orders", pk="id")
    >>> @app.on(orders.removed)
    ... def audit(change: Change) -> None: ...
    >>> [mapping.id for mapping in app.mappings]
    ['audit']
    """

    def __init__(self, name: str) -> None:
        if not name:
            raise SettingsError(
                "name: '' is not allowed; an app needs a name, its checkpoints are kept under it"
            )
        self.name = name
        self.tables: dict[str, Table] = {}
        self._mappings: dict[str, Mapping] = {}

    @property
    def mappings(self) -> Collection[Mapping]:
        """Every handler, in the order of declaration."""
        return self._mappings.values()

    def table(
        self, name: str, *, pk: str, sk: str | None = None, pk_type: KeyType = "S", sk_type: KeyType = "S",
        ttl: str | None = None, stream: ViewType | None = "NEW_AND_OLD_IMAGES",
    ) -> Table:  # fmt: skip
        """Declare a table. Raises: SettingsError."""
        if name in self.tables:
            raise SettingsError(f"table {name!r} is declared twice in app {self.name!r}")
        if ttl is not None:
            raise SettingsError(f"table {name!r}: ttl={ttl!r} is not emulated yet; see `tailrace coverage`")
        table = Table(name, pk, sk, pk_type, sk_type, ttl, stream)
        self.tables[name] = table
        return table

    def on(
        self, target: Table | Changes, *, where: Callable[[Change], bool] | None = None, retry: Retry | None = None,
        batch_size: int = 100, concurrency: int = 1, timeout: float | None = None, id: str | None = None,
        **settings: Any,
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Call the handler for every change, in order for each item. Further settings: MappingSettings.

        Shape:   `where` chooses changes; `concurrency` batches may run at once, never two with one item.
        Units:   timeout in seconds, for coroutines.
        Raises:  SettingsError.
        """
        return self._declare("on", target, where, retry, timeout, id,
                             batch_size=batch_size, concurrency=concurrency, **settings)  # fmt: skip

    def batch(
        self, target: Table | Changes, *, batch_size: int = 100, where: Callable[[Change], bool] | None = None,
        retry: Retry | None = None, timeout: float | None = None, id: str | None = None, **settings: Any,
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        """Call the handler with a Batch; when it raises, the batch is halved until the record at fault is alone."""
        return self._declare("batch", target, where, retry, timeout, id, batch_size=batch_size, **settings)

    def function(
        self,
        function: str | Callable[..., Any],
        target: Table | Changes,
        *,
        id: str | None = None,
        **settings: Any,
    ) -> None:
        """Run a Lambda function `handler(event, context)` with an event source mapping of AWS's own settings.

        Shape:   `function` is the callable or "module:attribute" (also "module.attribute"); settings by AWS's names, with
                 AWS's defaults: `BatchSize=100, BisectBatchOnFunctionError=True, …`.
        Raises:  SettingsError.
        """
        called = _load(function) if isinstance(function, str) else function
        name: str = id or str(getattr(called, "__qualname__", "function"))
        changes = changes_of(target)
        accepts = _accepts(changes, None)
        chosen = MappingSettings.for_lambda(name, accepts=accepts, **settings)
        self._add(Mapping(name, changes.table, "function", called, chosen, function_name=name))

    def _declare(
        self, kind: Kind, target: object, where: Callable[[Change], bool] | None, retry: Retry | None,
        timeout: float | None, id: str | None, **settings: Any,
    ) -> Callable[[Handler], Handler]:  # fmt: skip
        changes = changes_of(target)
        retrying = retry or Retry()

        def register(handler: Handler) -> Handler:
            name: str = id or str(getattr(handler, "__qualname__", "handler"))
            _check_signature(name, handler)
            _check_timeout(name, handler, timeout)
            _check_names(name, settings)
            try:
                chosen = MappingSettings(
                    name, maximum_retry_attempts=retrying.retries, backoff=retrying.settings(),
                    accepts=_accepts(changes, where), **settings,
                )  # fmt: skip
            except TypeError as error:
                raise SettingsError(f"handler {name!r}: {error}") from error
            self._add(Mapping(name, changes.table, kind, handler, chosen, timeout))
            return handler

        return register

    def _add(self, mapping: Mapping) -> None:
        if mapping.id in self._mappings:
            raise SettingsError(
                f"two handlers of app {self.name!r} have the id {mapping.id!r}: give one of them another with id="
            )
        if self.tables.get(mapping.table.name) is not mapping.table:
            raise SettingsError(
                f"handler {mapping.id!r}: table {mapping.table.name!r} belongs to another app"
            )
        if mapping.table.stream is None:
            raise SettingsError(
                f"handler {mapping.id!r}: table {mapping.table.name!r} has no stream (stream=None), so nothing would come"
            )
        self._mappings[mapping.id] = mapping


def _accepts(changes: Changes, where: Callable[[Change], bool] | None) -> Filter | None:
    """Which records reach the handler; None: all of them."""
    if where is None and len(set(changes.events)) == len(EVENTS):
        return None
    return Filter(changes.events, changes.table.name, where)


def _check_names(name: str, settings: Collection[str]) -> None:
    for setting in settings:
        if setting in LATER:
            raise SettingsError(f"handler {name!r}: {setting}= comes with a later version: {LATER[setting]}")
        if setting not in SETTINGS:
            raise SettingsError(
                f"handler {name!r}: {setting}: no such setting; there are {', '.join(sorted(SETTINGS))}"
            )


def _check_timeout(name: str, handler: Callable[..., Any], timeout: Any) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_S:
        raise SettingsError(
            f"handler {name!r}: timeout: {timeout!r} is not allowed; it is a number of seconds up to {LONGEST_S}"
        )
    if not is_async(handler):
        raise SettingsError(
            f"handler {name!r}: timeout: a thread cannot be ended, so only an `async def` handler can have one"
        )


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a function runs on the loop; decorators and objects with `async def __call__` are looked through."""
    called = inspect.unwrap(function)
    return inspect.iscoroutinefunction(called) or inspect.iscoroutinefunction(type(called).__call__)


def _check_signature(name: str, handler: Callable[..., Any]) -> None:
    try:
        inspect.signature(handler).bind(None)
    except TypeError as error:
        raise SettingsError(
            f"handler {name!r} is called with one argument, a Change or a Batch: {error}"
        ) from error


def _load(text: str) -> Callable[..., Any]:
    module, colon, attribute = text.partition(":")
    if not colon:
        module, _, attribute = text.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            f"function {text!r} cannot be loaded: {error}; write 'module:attribute'"
        ) from error
    if not callable(found):
        raise SettingsError(f"function {text!r} is no function but {found!r}")
    loaded: Callable[..., Any] = found
    return loaded


__all__ = ["App", "Batch", "Change", "Mapping", "Retry", "Table", "is_async"]
