"""The names and values that stand behind `#x` and `:x`, and which of them were used.

Rules of this file: one object a request, shared by all of its expressions, so that `check_all_used` sees them all.
Source: semantics §6.4, "Around expressions".
"""

from collections.abc import Iterable, Mapping

from tailrace.errors import validation_error
from tailrace.expressions.tokens import invalid
from tailrace.values.types import AttributeValue


class Placeholders:
    """Shape: `names` maps "#x" to attribute names, `values` ":x" to canonical attribute values."""

    __slots__ = ("_used_names", "_used_values", "names", "values")

    def __init__(
        self, names: Mapping[str, str] | None = None, values: Mapping[str, AttributeValue] | None = None
    ) -> None:
        self.names: Mapping[str, str] = names or {}
        self.values: Mapping[str, AttributeValue] = values or {}
        self._used_names: set[str] = set()
        self._used_values: set[str] = set()

    def use_names(self, used: Iterable[str], kind: str) -> None:
        """Note names that an expression uses. Raises: ApiError for one that is not defined."""
        for name in used:
            if name not in self.names:
                raise invalid(
                    kind,
                    "An expression attribute name used in the document path is not defined; "
                    f"attribute name: {name}",
                )
            self._used_names.add(name)

    def use_values(self, used: Iterable[str], kind: str) -> None:
        """Note values that an expression uses. Raises: ApiError for one that is not defined."""
        for name in used:
            if name not in self.values:
                raise invalid(
                    kind,
                    f"An expression attribute value used in expression is not defined; attribute value: {name}",
                )
            self._used_values.add(name)

    def check_all_used(self) -> None:
        """Raises: ApiError that names what no expression of the request uses."""
        for member, given, used in (
            ("ExpressionAttributeNames", self.names, self._used_names),
            ("ExpressionAttributeValues", self.values, self._used_values),
        ):
            if len(used) < len(given):
                unused = ", ".join(name for name in given if name not in used)
                raise validation_error(
                    f"Value provided in {member} unused in expressions: keys: {{{unused}}}"
                )
