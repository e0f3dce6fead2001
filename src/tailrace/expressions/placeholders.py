"""The names and values that stand behind `#x` and `:x`, and which of them were used.

Rules of this file: one object a request, shared by all of its expressions, so that `check_all_used` sees them
all. Called by the operations, and by whatever binds an expression. Source: semantics §6.3, §6.4 ("Around
expressions").
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tailrace.errors import validation_error
from tailrace.values.canonical import value_size
from tailrace.values.types import AttributeValue

PLACEHOLDER_BYTES: Final = 255
PLACEHOLDERS_BYTES: Final = 2 * 1024 * 1024
"""All names and values together. Source: AWS Developer Guide, "Expression parameters"."""


class Placeholders:
    """What a request gives for its expressions.

    Shape:   `names` maps "#x" to attribute names, `values` ":x" to canonical attribute values.
    Raises:  ApiError for a placeholder of more than 255 bytes, or more than 2 MB of them.
    """

    __slots__ = ("_used_names", "_used_values", "names", "values")

    def __init__(
        self, names: Mapping[str, str] | None = None, values: Mapping[str, AttributeValue] | None = None
    ) -> None:
        self.names: Mapping[str, str] = names or {}
        self.values: Mapping[str, AttributeValue] = values or {}
        self._used_names: set[str] = set()
        self._used_values: set[str] = set()
        if names or values:
            self._check_sizes()

    def _check_sizes(self) -> None:
        total = 0
        for key, name in self.names.items():
            total += len(key) + (len(name) if name.isascii() else len(name.encode()))
        for key, value in self.values.items():
            total += len(key) + value_size(value)
        if total > PLACEHOLDERS_BYTES:
            raise validation_error(
                "The size of ExpressionAttributeNames and ExpressionAttributeValues has exceeded the "
                "maximum allowed "
                f"size; size: {total}"
            )
        if total > PLACEHOLDER_BYTES:  # else no single one can be too long
            _check_keys("ExpressionAttributeNames", self.names)
            _check_keys("ExpressionAttributeValues", self.values)

    def use(self, names: Sequence[str], values: Sequence[str]) -> bool:
        """Note what an expression uses; False when something of it is not defined."""
        for name in names:
            if name not in self.names:
                return False
        for value in values:
            if value not in self.values:
                return False
        self._used_names.update(names)
        self._used_values.update(values)
        return True

    def chosen(self, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """What stands behind these names, as a key for a cache; without those that are not defined."""
        return tuple([(name, self.names[name]) for name in names if name in self.names])

    def check_all_used(self) -> None:
        """Raises: ApiError that names what no expression of the request uses."""
        for member, defined, used in (
            ("ExpressionAttributeNames", self.names, self._used_names),
            ("ExpressionAttributeValues", self.values, self._used_values),
        ):
            if len(used) < len(defined):
                unused = ", ".join(name for name in defined if name not in used)
                raise validation_error(
                    f"Value provided in {member} unused in expressions: keys: {{{unused}}}"
                )


NO_PLACEHOLDERS: Final = Placeholders()
"""Those of every request without any: it has nothing that an expression could use or leave unused."""


def _check_keys(member: str, keys: Iterable[str]) -> None:
    for key in keys:
        if len(key.encode()) > PLACEHOLDER_BYTES:
            raise validation_error(f'{member} contains invalid key: Syntax error; key: "{key}"')
