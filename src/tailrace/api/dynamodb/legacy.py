"""The legacy parameters of requests: their shapes, and what each operation makes of them.

Rules of this file: members whose types and constraints are checked become what expressions become; a request never has both,
`api.validation` saw to that. Used by `api.dynamodb.parameters` and the operations. Source: semantics §6.4, §6.6.
"""

from typing import Final

from tailrace.api.shapes import COMPARISON, AnyValue, Flag, Many, Mapped, Text, structure
from tailrace.api.wire import Payload
from tailrace.expressions.condition import Condition
from tailrace.expressions.legacy import check_operator, read_expected, read_filter

LONGEST_NAME: Final = Text(0, 65_535)
EXPECTED: Final = Mapped(
    structure(
        "ExpectedAttributeValue",
        Value=AnyValue(), Exists=Flag(), ComparisonOperator=COMPARISON, AttributeValueList=Many(AnyValue()),
    ),
    key=LONGEST_NAME,
)  # fmt: skip
CONDITIONS: Final = Mapped(
    structure(
        "Condition", "ComparisonOperator",
        AttributeValueList=Many(AnyValue()), ComparisonOperator=COMPARISON,
    ),
    key=LONGEST_NAME,
)  # fmt: skip
ATTRIBUTE_UPDATES: Final = Mapped(
    structure("AttributeValueUpdate", Value=AnyValue(), Action=Text(choices=("ADD", "PUT", "DELETE"))),
    key=LONGEST_NAME,
)


def read_legacy_condition(payload: Payload, member: str) -> Condition | None:
    """What stands in for a ConditionExpression or FilterExpression, if there is something. Raises: ApiError.

    Shape:   `member` is Expected, QueryFilter or ScanFilter.
    """
    operator = payload.get("ConditionalOperator")
    given = payload.get(member)
    if given is None:
        check_operator(operator, 0)
        return None
    return read_expected(given, operator) if member == "Expected" else read_filter(given, operator, member)
