"""What a projection says: its groups as a read-only mapping, keys and states in Python's own types.

Rules of this file: every question is asked anew of what is bound to the app (a world, a server's socket, a
directory): the next time another build can be served.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tailrace.app.operations import Ask
from tailrace.app.projection import Projection


class Projected(Mapping[Any, Any]):
    """The states of a projection by the keys of its groups; a group without items is not there.

    Shape:   a key is what `by` gives: a value, a tuple for several fields, None without `by`.
    """

    def __init__(self, ask: Ask, app: str, projection: Projection) -> None:
        self._ask = ask
        self._name = f"{app}/{projection.id}"
        self._projection = projection

    def __repr__(self) -> str:
        return f"<Projected {self._projection.id}>"

    def __getitem__(self, key: Any) -> Any:
        groups = self._groups([self._projection.by.text_of(key)])
        if not groups:
            raise KeyError(key)
        return self._projection.state.decode(groups[0]["state"])

    def __iter__(self) -> Iterator[Any]:
        return iter(dict(self._decoded()))

    def __len__(self) -> int:
        return len(self._groups(None))

    def items(self) -> Any:
        """Every group and its state, as of one moment."""
        return dict(self._decoded()).items()

    def values(self) -> Any:
        """Every state."""
        return dict(self._decoded()).values()

    def count(self, key: Any) -> int:
        """How many items are in a group."""
        return sum(group["count"] for group in self._groups([self._projection.by.text_of(key)]))

    @property
    def build(self) -> str:
        """The build that is served: the version, and after a rebuild its number, as in "2.1"."""
        return str(self._answer([])["build"])

    def _decoded(self) -> Iterator[tuple[Any, Any]]:
        by, state = self._projection.by, self._projection.state
        return ((by.value_of(group["key"]), state.decode(group["state"])) for group in self._groups(None))

    def _groups(self, keys: list[str] | None) -> list[Mapping[str, Any]]:
        groups: list[Mapping[str, Any]] = self._answer(keys)["groups"]
        return groups

    def _answer(self, keys: list[str] | None) -> Mapping[str, Any]:
        answer: Mapping[str, Any]
        (answer,) = self._ask("projection.read", {"projection": self._name, "keys": keys})
        return answer
