"""A compiled event pattern: what other packages see of this one.

Rules of this file: compiling refuses what AWS refuses, in its words; matching never raises. Called by mapping
settings, by the Lambda API, by tools that test patterns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tailrace.patterns.fields import Field, fields_of, matches
from tailrace.patterns.formatting import format_rules
from tailrace.patterns.nodes import Rules
from tailrace.patterns.operators import Dialect
from tailrace.patterns.parse import parse


class Pattern:
    """A pattern that is valid, ready to match.

    >>> pattern = compile_pattern('{"dynamodb": {"NewImage": {"status": {"S": ["paid", {"prefix": "re"}]}}}}')
    >>> pattern.matches({"dynamodb": {"NewImage": {"status": {"S": "returned"}}}})
    True
    >>> pattern.matches({"dynamodb": {"NewImage": {"status": {"S": "open"}}}})
    False
    """

    __slots__ = ("dialect", "fields", "rules")

    def __init__(self, rules: Rules, dialect: Dialect) -> None:
        self.rules = rules
        self.dialect: Dialect = dialect
        self.fields: Sequence[Sequence[Field]] = tuple(fields_of(rule) for rule in rules)

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Whether an event, as decoded from JSON, matches.

        Guarantee: never raises, and never changes the event.
        """
        members = event if isinstance(event, dict) else dict(event)
        return any(matches(fields, members) for fields in self.fields)

    @property
    def names(self) -> frozenset[str]:
        """Every field that is asked for, as a whole dotted name."""
        return frozenset(name for rule in self.rules for name in rule)

    def __str__(self) -> str:
        return format_rules(self.rules)

    def __repr__(self) -> str:
        return f"compile_pattern({str(self)!r}, {self.dialect!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and (self.rules, self.dialect) == (other.rules, other.dialect)

    def __hash__(self) -> int:
        return hash(str(self))


def compile_pattern(pattern: str | bytes | Mapping[str, Any], dialect: Dialect = "mapping") -> Pattern:
    """The pattern behind a text, or behind its decoded JSON.

    Shape:   `dialect` "mapping" takes what filters of event source mappings and pipes have; "event-bus" also
             wildcard, cidr and anything-but with prefix, suffix, equals-ignore-case or wildcard.
    Raises:  PatternError, with the reason in the words of AWS's engine.
    Source:  semantics §2.11.

    >>> changed = compile_pattern({"eventName": ["INSERT", {"anything-but": "REMOVE"}]})
    >>> changed.matches({"eventName": "MODIFY"})
    True
    >>> compile_pattern('{"a": [{"wildcard": "a*b"}]}', "event-bus").matches({"a": "a-b"})
    True
    >>> compile_pattern('{"a": "x"}')
    Traceback (most recent call last):
    ...
    tailrace.errors.PatternError: "a" must be an object or an array
    """
    return Pattern(parse(pattern, dialect), dialect)
