"""`app.explain(handler)`: what reaches a handler, what a pattern says of it, what is judged in process, why.

Rules of this file: it computes and words; recorded traffic is counted by `tailrace explain`, which has it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from tailrace.app.change import Change
from tailrace.app.entity import Entity
from tailrace.app.leaves import THERE
from tailrace.app.predicates import Predicate
from tailrace.app.table import EVENTS, Changes
from tailrace.app.widening import Open, Path, Term, closed, meet, pattern_of, terms_of
from tailrace.mapping.filters import RecordFilter
from tailrace.mapping.settings import Order
from tailrace.patterns.pattern import Pattern, compile_pattern
from tailrace.streams.envelopes import lambda_record
from tailrace.streams.record import ChangeRecord


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many recorded changes there were, how many the patterns let through, how many the handler wants."""

    records: int = 0
    matched: int = 0
    wanted: int = 0

    def __str__(self) -> str:
        if not self.records:
            return "no recorded traffic to count"
        return (
            f"of {self.records:,} recorded changes the pattern drops {self.records - self.matched:,} before "
            f"an invocation, the residual {self.matched - self.wanted:,} more; {self.wanted:,} reach the "
            "handler"
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    """What reaches a handler.

    Shape:   `patterns` are joined by OR (empty: everything passes); `opened` is what they leave open, with
             reasons; `residual` is what is judged in process, None when the patterns say it all.
    """

    handler: str
    target: str
    where: str | None
    patterns: tuple[dict[str, Any], ...]
    opened: tuple[Open, ...]
    residual: str | None
    order: Order = "key"

    def value(self, traffic: Traffic | None = None) -> dict[str, Any]:
        """The same as JSON, with what was counted."""
        return {
            "handler": self.handler,
            "target": self.target,
            "where": self.where,
            "patterns": list(self.patterns),
            "residual": self.residual,
            "order": self.order,
            "open": [{"part": open_part.part, "reason": open_part.reason} for open_part in self.opened],
            "traffic": None if traffic is None else asdict(traffic),
        }

    def __str__(self) -> str:
        return "\n".join(lines_of(self.value()))


def lines_of(value: dict[str, Any]) -> Iterable[str]:
    """An explanation for people, out of its JSON."""
    where = "" if value["where"] is None else f", where {value['where']}"
    yield f"{value['handler']} ← {value['target']}{where}"
    for pattern in value["patterns"] or [{}]:
        yield f"  pattern   {json.dumps(pattern, ensure_ascii=False)}"
    yield f"  residual  {value['residual'] or 'nothing: the pattern says it all'}"
    if value.get("order") == "shard":
        yield (
            "  order     shard: all that it gets of a shard comes in sequence, one batch at a time; a "
            "failure holds what follows"
        )
    for open_part in value["open"]:
        yield f"  why       {open_part['part']}: {open_part['reason']}"
    if value["traffic"] is not None:
        yield f"  traffic   {Traffic(**value['traffic'])}"


def target_words(changes: Changes[Entity[Any]]) -> str:
    """What a handler is declared on."""
    name = changes.table.name if changes.entity is None else str(changes.entity)
    name = f"{name}, what fits no entity" if changes.unmatched else name
    if set(changes.events) == set(EVENTS):
        return name
    words = {"INSERT": "inserted", "MODIFY": "modified", "REMOVE": "removed"}
    return " | ".join(f"{name}.{words[event]}" for event in changes.events)


def alternatives(
    changes: Changes[Entity[Any]], where: Predicate | Callable[[Change[Any]], bool] | None
) -> list[Term]:
    """What a pattern can ask of the records for a handler. Empty: no record can ever reach it."""
    first = (
        Term(frozenset(changes.events)) if changes.entity is None else _entity_term(changes, changes.entity)
    )
    if changes.unmatched:
        first = replace(
            first, opened=(Open("it fits no entity", "a pattern cannot say what all the others are not"),)
        )
    if where is None:
        return [first]
    if not isinstance(where, Predicate):
        name = getattr(where, "__qualname__", repr(where))
        opened = Open(
            name, "it is a function: write it with changed, new and old, and a pattern can say some of it"
        )
        return [Term(first.events, first.leaves, (*first.opened, opened))]
    met = [meet((first, term)) for term in terms_of(where)]
    return closed([term for term in met if term is not None])


def _entity_term(changes: Changes[Entity[Any]], entity: Entity[Any]) -> Term:
    leaves: dict[Path, Any] = {}
    opened: list[Open] = []
    for part in entity.parts:
        path = ("dynamodb", "Keys", part.attribute, part.kind)
        if not part.codecs:
            leaves[path] = (part.template.lead,)
            continue
        leaves[path] = ({"prefix": part.template.lead},) if part.template.lead else (THERE,)
        if len(part.template.parts) > 2 or part.has_checks or part.template.excluded:
            opened.append(
                Open(
                    f"{part.attribute} fits {part.template.text!r}",
                    "a pattern asks how a key begins, no more",
                )
            )
    return Term(frozenset(changes.events), leaves, tuple(opened))


def explain(
    handler: str,
    changes: Changes[Entity[Any]],
    where: Predicate | Callable[[Change[Any]], bool] | None,
    filters: Sequence[Pattern] = (),
    order: Order = "key",
) -> Explanation:
    """Patterns and residual of a handler, without traffic."""
    terms = alternatives(changes, where)
    opened = tuple(dict.fromkeys(open_part for term in terms for open_part in term.opened))
    patterns = tuple(pattern_of(term) for term in terms)
    words = (
        None
        if where is None
        else repr(where)
        if isinstance(where, Predicate)
        else getattr(where, "__qualname__", repr(where))
    )
    residual: str | None = None
    if opened:
        residual = " and ".join(open_part.part for open_part in opened) if len(terms) == 1 else str(words)
    if filters:
        patterns, asked = tuple(orjson.loads(str(pattern)) for pattern in filters), patterns
        if any(asked):
            residual = f"it is of {target_words(changes)}"
            opened = (Open(residual, "the filters are taken as they are written"),)
    return Explanation(handler, target_words(changes), words, patterns, opened, residual, order)


def lets_through(patterns: Sequence[Mapping[str, Any]]) -> Callable[[ChangeRecord], bool]:
    """Whether one of the patterns lets a record through, as a function."""
    compiled = [compile_pattern(pattern, "event-bus") for pattern in patterns or ({},)]
    return RecordFilter(compiled, "arn:aws:dynamodb", "NEW_AND_OLD_IMAGES", "us-east-1")


def event_of(record: ChangeRecord) -> dict[str, Any]:
    """A record as a pattern sees it."""
    event: dict[str, Any] = orjson.loads(
        lambda_record(record, "arn:aws:dynamodb", "NEW_AND_OLD_IMAGES", "us-east-1")
    )
    return event
