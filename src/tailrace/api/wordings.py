"""AWS's words for what is wrong with a request, by operation: which layer of words it speaks, what it wraps up.

Theory of operation: AWS rolls new words out operation by operation and member by member. What is told alike everywhere stands
where it is found; what is not stands here, as a table, and nothing reads it before a request has been refused.
Rules of this file: words and their tables; who finds a mistake is elsewhere. Source: AWS's answers as captured in October 2026
(ADR 0043); semantics §6.1.
"""

from typing import Final

from tailrace.errors import VALIDATION, ApiError, validation_error
from tailrace.values.wordings import WrongValue

ENVELOPE: Final = "1 validation error detected: "
ENVELOPED: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
"""What is wrong with a request of these, before its table is looked up, is told as one validation error."""
OLDER: Final = frozenset({"BatchWriteItem", "TransactWriteItems", "TransactGetItems", "Scan"})
"""They tell wrong values in the older words."""
LONELY_VALUES: Final = "ExpressionAttributeValues can only be specified when using expressions"


class LonelyValues(ApiError):
    """Values where no expression takes them. Shape: `missing` says which expressions there might have been."""

    def __init__(self, missing: str) -> None:
        super().__init__("ValidationException", f"{LONELY_VALUES}: {missing}", prefix=VALIDATION)


def in_words_of(operation: str, error: ApiError) -> ApiError:
    """The error as this operation tells it."""
    if operation in OLDER and isinstance(error, WrongValue):
        return validation_error(error.told("older"))
    return error


def enveloped(error: ApiError) -> ApiError:
    """An error of PutItem, UpdateItem or DeleteItem that was found without looking at the table."""
    if error.code != "ValidationException":
        return error
    text = LONELY_VALUES if isinstance(error, LonelyValues) else error.message
    return validation_error(f"{ENVELOPE}{text}")


def of_request(operation: str, error: ApiError) -> ApiError:
    """The same for an operation that is not known to be one of them."""
    return enveloped(error) if operation in ENVELOPED else error
