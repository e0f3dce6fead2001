"""What Lambda's front end refuses before anything else: members that are missing, too long, out of range or of no known kind.

Rules of this file: pure; every violation of a request is told at once, in AWS's words and with AWS's names of the members. Called by
lambdas/settings.py and the operations. Source: semantics §2.2 (the texts), botocore's model of 2015-03-31 (the bounds).

>>> found = Violations()
>>> found.within("BatchSize", 0, 1, 10_000)
>>> found.text
"1 validation error detected: Value '0' at 'batchSize' failed to satisfy constraint: Member must have value greater than or equal to 1"
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tailrace.errors import ApiError

FUNCTION_NAME: Final = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)"
    r"(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
KEY_ARN: Final = r"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"
MOST_TAGS: Final = 50
LONGEST_TAG_KEY: Final = 128
LONGEST_TAG_VALUE: Final = 256
"""Source: Lambda Developer Guide, "Tag naming requirements"."""


def invalid(message: str) -> ApiError:
    """An InvalidParameterValueException."""
    return ApiError("InvalidParameterValueException", message)


def unreadable(name: str, wanted: str) -> ApiError:
    """A member of another JSON type than the model's."""
    return ApiError("SerializationException", f"{name} is no {wanted}")


class Violations:
    """The constraints that one request violates."""

    def __init__(self) -> None:
        self._found: list[str] = []

    @property
    def text(self) -> str:
        """All of them as AWS tells them."""
        count = len(self._found)
        return f"{count} validation error{'s' * (count != 1)} detected: {'; '.join(self._found)}"

    def add(self, name: str, value: object, constraint: str) -> None:
        """Note one. Shape: `name` is the member's path, as AWS's models write it or with a capital."""
        shown = "null" if value is None else f"'{value}'"
        path = name[0].lower() + name[1:]
        self._found.append(f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}")

    def given(self, name: str, value: object) -> None:
        """It must be there."""
        if value is None:
            self.add(name, None, "Member must not be null")

    def within(self, name: str, value: int, lowest: int, highest: int) -> None:
        """A number between two bounds."""
        if value < lowest:
            self.add(name, value, f"Member must have value greater than or equal to {lowest}")
        elif value > highest:
            self.add(name, value, f"Member must have value less than or equal to {highest}")

    def sized(self, name: str, value: Sequence[Any], lowest: int, highest: int) -> None:
        """A text or a list of a length between two bounds."""
        shown = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else value
        if len(value) < lowest:
            self.add(name, shown, f"Member must have length greater than or equal to {lowest}")
        elif len(value) > highest:
            self.add(name, shown, f"Member must have length less than or equal to {highest}")

    def fits(self, name: str, value: str, pattern: str) -> None:
        """A text of a pattern."""
        if not re.fullmatch(pattern, value):
            self.add(name, value, f"Member must satisfy regular expression pattern: {pattern}")

    def one_of(self, name: str, value: object, known: Sequence[str]) -> None:
        """A word of an enumeration."""
        if value not in known:
            self.add(name, value, f"Member must satisfy enum value set: [{', '.join(known)}]")

    def all_of(self, name: str, values: list[Any], known: Sequence[str]) -> None:
        """A list of words of an enumeration."""
        if any(each not in known for each in values):
            wanted = f"[Member must satisfy enum value set: [{', '.join(known)}]]"
            self.add(name, f"[{', '.join(map(str, values))}]", f"Member must satisfy constraint: {wanted}")

    def refuse(self) -> None:
        """Raises: ApiError when there are any."""
        if self._found:
            raise ApiError("ValidationException", self.text)


def whole(name: str, value: object) -> int:
    """A member that the model says is an integer. Raises: ApiError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise unreadable(name, "whole number")
    return value


def truth(name: str, value: object) -> bool:
    """A member that the model says is a boolean. Raises: ApiError."""
    if not isinstance(value, bool):
        raise unreadable(name, "boolean")
    return value


def text(name: str, value: object) -> str:
    """A member that the model says is a string. Raises: ApiError."""
    if not isinstance(value, str):
        raise unreadable(name, "text")
    return value


def texts(name: str, value: object) -> list[Any]:
    """A member that the model says is a list of strings. Raises: ApiError."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise unreadable(name, "list of texts")
    return value


def members(name: str, value: object, known: Sequence[str]) -> Mapping[str, Any]:
    """A member that the model says is a structure; null members are left out. Raises: ApiError, for an unknown member too."""
    if not isinstance(value, dict):
        raise unreadable(name, "object")
    for each in value:
        if each not in known:
            raise unreadable(
                f"{name}.{each}",
                f"member of {name}: there {'is' if len(known) == 1 else 'are'} {', '.join(known)}",
            )
    return {each: found for each, found in value.items() if found is not None}


def tags(given: object, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """Tags, those of before with these. Raises: ApiError."""
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise unreadable("Tags", "object of texts")
    for key, value in given.items():
        if not 1 <= len(key) <= LONGEST_TAG_KEY or len(value) > LONGEST_TAG_VALUE:
            raise invalid(
                f"Tags: {key!r} is not allowed; a key has 1 to {LONGEST_TAG_KEY} characters, a value at most {LONGEST_TAG_VALUE}"
            )
        if key.lower().startswith("aws:"):
            raise invalid(f"Tags: {key!r} is not allowed; AWS keeps keys that begin with aws: for itself")
    found = {**(before or {}), **given}
    if len(found) > MOST_TAGS:
        raise invalid(f"Tags: {len(found)} tags are too many; at most {MOST_TAGS} are allowed")
    return found
