"""Conditions judged in steps: a large item under many operators is judged one operator at a time.

Rules of this file: the answer is that of `Condition.matches`; only the rests in between are new. Work is
counted, never timed. Called by engine.paging and engine.judgement.
"""

from collections.abc import Generator, Mapping
from typing import Final

from tailrace.expressions.condition import Condition, test_of
from tailrace.expressions.nodes import And, Between, Compare, In, Node, Not, Or
from tailrace.expressions.operands import Values
from tailrace.values.canonical import value_size
from tailrace.values.types import AttributeValue, Item

OPERATORS_JUDGED: Final = 4
"""How many operators look at something small for one unit of work."""
BYTES_JUDGED: Final = 128
"""How many bytes of an item's JSON an operator looks at for as much as something small, at worst: elements of
a list.
"""
VALUE_BYTES: Final = 4
"""A value beside the item weighs less than its JSON would: so many times at most."""
HEAVY_WORK: Final = 10_000
"""Beyond so much a condition is judged in steps. Units: of work, about a microsecond each."""


def judging_work(condition: Condition, size: int) -> int:
    """At most so much work is it to judge an item. Units: bytes of the item's JSON and of `weight_of` the
    values; of work.
    """
    return condition.prepared.operators * (1 + size // BYTES_JUDGED) // OPERATORS_JUDGED


def weight_of(values: Mapping[str, AttributeValue]) -> int:
    """What those values of a condition weigh that take long to look at. Units: bytes of JSON, at most."""
    large = (value for value in values.values() if not ("S" in value or "N" in value))
    return VALUE_BYTES * sum(map(value_size, large))


def judged(condition: Condition, item: Item) -> Generator[None, None, bool]:
    """Whether the condition holds for an item, with a rest after each operator."""
    return (yield from _judged(condition.prepared.parsed.node, item, condition.values))


def _judged(node: Node, item: Item, values: Values) -> Generator[None, None, bool]:
    match node:
        case And(conditions):
            for inner in conditions:
                if not (yield from _judged(inner, item, values)):
                    return False
            return True
        case Or(conditions):
            for inner in conditions:
                if (yield from _judged(inner, item, values)):
                    return True
            return False
        case Not(condition):
            return not (yield from _judged(condition, item, values))
        case In(operand, options):
            for option in options:
                if (yield from _judged(Compare("=", operand, option), item, values)):
                    return True
            return False
        case Between(operand, low, high):
            inside = And((Compare(">=", operand, low), Compare("<=", operand, high)))
            return (yield from _judged(inside, item, values))
        case _:
            holds = test_of(node)(item, values)
            yield
            return holds
