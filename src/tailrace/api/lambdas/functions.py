"""The functions of a server: whose code the command line names, and whose configuration Lambda's API keeps.

Theory of operation: `--function NAME=module:attribute` makes a function that is there from the start, with
Lambda's defaults. CreateFunction of such a name takes it over with a configuration, which is a row; deleting
it leaves a row too, so that it stays away until it is created again. Code never comes over the wire. Rules of
this file: one runner a function, made again when what it needs has changed. Used by lambdas/service.py and
the operations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from msgspec import Struct, field

from tailrace.app.function_settings import NAMES, CodePlace, FunctionSettings, NamedFunction
from tailrace.ports import StateStore
from tailrace.rows.kinds import FUNCTION
from tailrace.rows.writes import VERSION, readable
from tailrace.sinks.lambda_function import Captured, Runner

DEFAULTS: Final[Mapping[str, Any]] = {
    "Timeout": 3, "MemorySize": 128, "Description": "", "PackageType": "Zip", "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512}, "TracingConfig": {"Mode": "PassThrough"},
}  # fmt: skip


class ProcessLike(Runner, Protocol):
    """What runs a function and is ended with the server."""

    async def invoke(
        self,
        event: bytes,
        request_id: str,
        arn: str,
        trace: str = "",
        captured: Captured | None = None,
        client: Mapping[str, Any] | None = None,
        *,
        exact: bool = True,
    ) -> bytes:
        """The function's answer; what it prints goes into `captured`, `client` is its client context. Raises:
        whatever says that it failed.
        """

    def retire(self) -> None:
        """End every process, one that is busy when it has answered. Nothing more is invoked."""

    async def close(self) -> None:
        """End every process."""


class Configured(Struct, frozen=True):
    """What is kept of one function. Shape: `settings` by AWS's names; `created` by CreateFunction."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    modified_ms: int = 0
    created: bool = False
    deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[Mapping[str, Any]] = ()
    """Those of its policy, in the order in which they were added."""

    @property
    def key(self) -> str:
        """Its row."""
        return FUNCTION.key(self.name)

    def fields(self) -> dict[str, Any]:
        """The row's fields."""
        return {
            "v": VERSION,
            "settings": dict(self.settings),
            "modified_ms": self.modified_ms,
            "created": self.created,
            "deleted": self.deleted,
            "tags": dict(self.tags),
            **({"statements": [dict(statement) for statement in self.statements]} if self.statements else {}),
        }

    @property
    def app_settings(self) -> dict[str, Any]:
        """Those of its settings that `app.function` takes."""
        return {name: self.settings[name] for name in NAMES if name in self.settings}

    @property
    def own(self) -> FunctionSettings:
        """What its processes need to know."""
        return FunctionSettings.read(self.app_settings)


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """One function that is there. Shape: `runner` runs direct invocations."""

    name: str
    code: NamedFunction
    configured: Configured
    settings: FunctionSettings
    runner: ProcessLike


class Functions(Mapping[str, DeployedFunction]):
    """Every function that is there, by its name."""

    def __init__(
        self,
        registered: Mapping[str, NamedFunction],
        runner: Callable[[str, CodePlace, FunctionSettings], ProcessLike],
    ) -> None:
        self._registered = registered
        self._runner = runner
        self._functions: dict[str, DeployedFunction] = {}
        self._retired: list[ProcessLike] = []

    def __getitem__(self, name: str) -> DeployedFunction:
        return self._functions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._functions))

    def __len__(self) -> int:
        return len(self._functions)

    @property
    def registered(self) -> list[str]:
        """The names that the command line gave."""
        return sorted(self._registered)

    async def close(self) -> None:
        """End the processes of direct invocations."""
        for runner in (*self._retired, *(function.runner for function in self._functions.values())):
            await runner.close()

    def put(self, configured: Configured) -> None:
        """From now on the function is like that."""
        name = configured.name
        before = self._functions.pop(name, None)
        if before is not None and (configured.deleted or before.settings != configured.own):
            before.runner.retire()
            self._retired.append(before.runner)
            before = None
        if configured.deleted:
            return
        own, code = configured.own, self._registered[name]
        runner = self._runner(name, code.code, own) if before is None else before.runner
        self._functions[name] = DeployedFunction(name, code, configured, own, runner)


async def read_configured(state: StateStore, name: str) -> Configured:
    """What is kept of a function that the command line named. Raises: StoreError."""
    row = await state.get(FUNCTION.key(name))
    if row is None:
        return Configured(name)
    fields = dict(readable(row.fields, "function"))
    del fields["v"]
    return Configured(name, **fields)
