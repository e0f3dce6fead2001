"""What operations make of the legacy parameters of requests.

Rules of this file: members whose types and constraints are checked become what expressions become; a request never has both,
`api.validation` saw to that. Used by `api.dynamodb.parameters` and the operations. Source: semantics §6.4, §6.6.
"""

from tailrace.api.wire import Payload
from tailrace.expressions.condition import Condition
from tailrace.expressions.legacy import check_operator, read_expected, read_filter


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
