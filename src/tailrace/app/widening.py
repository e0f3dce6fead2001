"""Predicates as event patterns: the widest sound ones, which never drop a record that the predicate accepts.

Theory of operation: a predicate is brought into alternatives (`Term`s, joined by OR), each of which asks
several leaves of the record at once (AND). What a pattern cannot ask is left open in its term, with the
reason; what is open is the residual, judged in process. Negations are pushed to the leaves first, where each
has a wider form of its own.
Rules of this file: sound before narrow: when in doubt a term asks less. Source: semantics §2.11 (strings, no
`numeric` for items, `exists` on leaves only, no nested `anything-but` in event source mappings).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final, TypeAlias

from tailrace.app.codec import MISFITS
from tailrace.app.field_path import FieldPath
from tailrace.app.leaves import NOT_THERE, THERE, Alternatives, both, is_certain, numeric
from tailrace.app.predicates import (
    COMPARE,
    And,
    ByTtl,
    Changed,
    Comparison,
    Exists,
    Not,
    OneOf,
    Operand,
    Operator,
    Or,
    Predicate,
    StartsWith,
    attribute_of,
)
from tailrace.app.table import EVENTS
from tailrace.errors import ApiError

MOST_PATTERNS: Final = 5
"""The quota of filters of one event source mapping. Source: semantics §2.1."""
MOST_TERMS: Final = 64
SCALARS: Final = frozenset(("S", "N", "B", "BOOL"))
IMAGES: Final = {"old": "OldImage", "new": "NewImage"}
WITH: Final = {"old": frozenset(("MODIFY", "REMOVE")), "new": frozenset(("INSERT", "MODIFY"))}
TTL: Final = "dynamodb.amazonaws.com"
Path: TypeAlias = tuple[str, ...]
Leaves: TypeAlias = Mapping[Path, Alternatives]


@dataclass(frozen=True, slots=True)
class Open:
    """A part of a predicate that the pattern leaves open, and why. Shape: `field` is a `changed` path."""

    part: str
    reason: str
    field: Path = ()


@dataclass(frozen=True, slots=True)
class Term:
    """Questions that a record must answer all. Shape: `changed` and `unchanged` are fields by their path."""

    events: frozenset[str] = frozenset(EVENTS)
    leaves: Leaves = field(default_factory=dict)
    opened: tuple[Open, ...] = ()
    changed: frozenset[Path] = frozenset()
    unchanged: frozenset[Path] = frozenset()


def terms_of(predicate: Predicate, negated: bool = False) -> list[Term]:
    """The alternatives of a predicate, as they stand. Empty: it can never be true."""
    match predicate:
        case Not(inner):
            return terms_of(inner, not negated)
        case And(parts) | Or(parts):
            alternatives = [terms_of(part, negated) for part in parts]
            if isinstance(predicate, And) is negated:
                return [term for terms in alternatives for term in terms]
            return _all_of(alternatives, repr(predicate))
        case Changed(field):
            return [_changed(field, negated)]
        case ByTtl():
            return [_by_ttl(negated)]
        case Comparison(_, _, Operand()):
            return [_between(predicate, negated)]
        case Comparison("==", left, right):
            return _one_of(repr(predicate), left, (right,), negated)
        case Comparison(operator, left, right):
            return [_ordered(predicate, left, operator, right, negated)]
        case OneOf(left, values):
            return _one_of(repr(predicate), left, values, negated)
        case StartsWith(left, prefix):
            return [_starts(predicate, left, prefix, negated)]
        case Exists(left):
            return _exists(predicate, left, negated)
    raise AssertionError(f"{predicate!r} is no predicate")


def _all_of(alternatives: Sequence[list[Term]], words: str) -> list[Term]:
    size = 1
    for terms in alternatives:
        size *= max(1, len(terms))
    if size > MOST_TERMS:
        return [Term(opened=(Open(words, f"it has {size} alternatives"),))]
    met = [meet(chosen) for chosen in product(*alternatives)]
    return [term for term in met if term is not None]


def meet(terms: Sequence[Term]) -> Term | None:
    """What all of them ask together; None when nothing can answer it."""
    leaves: dict[Path, Alternatives] = {}
    opened: list[Open] = []
    events = frozenset(EVENTS)
    for term in terms:
        events &= term.events
        opened += [open_part for open_part in term.opened if open_part not in opened]
        for path, asked in term.leaves.items():
            if path not in leaves:
                leaves[path] = asked
                continue
            leaves[path], is_exact = both(leaves[path], asked)
            if not leaves[path]:
                return None
            if not is_exact:
                opened.append(
                    Open(
                        ".".join(path[2:-1]), "no pattern can say both what it begins with and what it is not"
                    )
                )
    changed = frozenset[Path]().union(*(term.changed for term in terms))
    unchanged = frozenset[Path]().union(*(term.unchanged for term in terms))
    if not events or changed & unchanged:
        return None
    return Term(events, leaves, tuple(opened), changed, unchanged)


# ---- single questions --------------------------------------------------------------------------------------


def _leaf(operand: Operand[Any], kind: str) -> Path:
    return ("dynamodb", IMAGES[operand.side], *_inside(operand.field._path), kind)


def _inside(path: Path) -> Path:
    first, *others = path
    return (first, *(step for name in others for step in ("M", name)))


def _kinds(field: FieldPath) -> frozenset[str]:
    return field._codec.kinds - {"NULL"}


def _may_be_unsaid(field: FieldPath, fits: Callable[[Any], bool]) -> bool:
    """Whether what stands for an absent attribute may fit: a default of the field, or of a model around it,
    or what the key says.
    """
    if field._is_of_key:
        return True
    for make in field._defaults:
        try:
            if make is not None and fits(make()):
                return True
        except MISFITS:  # a model on the way is None, or the value has no such order: there is no value
            continue
    return False


def _unsaid(field: FieldPath) -> str:
    """Why an absent attribute is let through."""
    if field._is_of_key:
        return "a field of the key need not be stored beside it"
    return "an absent attribute is the default, but one of another type is not"


def _wide(
    part: str, reason: str, events: frozenset[str] = frozenset(EVENTS), leaves: Leaves | None = None
) -> Term:
    return Term(events, leaves or {}, (Open(part, reason),))


def _changed(field: FieldPath, negated: bool) -> Term:
    words = f"~changed({field!r})" if negated else f"changed({field!r})"
    path = field._path
    opened = (Open(words, "a pattern cannot compare the old image with the new one", path),)
    return (
        Term(opened=opened, unchanged=frozenset((path,)))
        if negated
        else Term(opened=opened, changed=frozenset((path,)))
    )


def _by_ttl(negated: bool) -> Term:
    path = ("userIdentity", "principalId")
    if negated:
        return Term(leaves={path: ({"anything-but": [TTL]}, NOT_THERE)})
    return Term(frozenset(("REMOVE",)), {path: (TTL,)})


def _one_of(words: str, left: Operand[Any], values: tuple[Any, ...], negated: bool) -> list[Term]:
    field, known = left.field, [value for value in values if value is not None]
    is_default = _may_be_unsaid(field, lambda default: default in values)
    words = f"~({words})" if negated else words
    texts = _texts(field, known)
    if texts is None or len(known) < len(values) or len(_kinds(field)) != 1:
        return [_inexact(words, left, len(known) == len(values), is_default, negated)]
    (kind,) = _kinds(field)
    path = _leaf(left, kind)
    if negated:
        reason = "an absent attribute is the default, but no image is not"
        opened = (Open(words, _unsaid(field) if field._is_of_key else reason),) if is_default else ()
        return [Term(leaves={path: _all_but(texts, kind)}, opened=opened)]
    if is_default:
        return [Term(WITH[left.side], {path: (*texts, NOT_THERE)}, (Open(words, _unsaid(field)),))]
    return [Term(WITH[left.side], {path: texts})]


def _inexact(words: str, left: Operand[Any], no_none: bool, is_default: bool, negated: bool) -> Term:
    """A comparison whose constants have no certain text."""
    kinds = _kinds(left.field)
    reason = f"{left.field._codec.words} has no single text that a pattern could ask for"
    if not no_none:
        reason = "None may be NULL, absent or a default; .exists() asks for a stored value"
    if negated:
        return _wide(words, reason)
    leaves: Leaves = {}
    if no_none and not is_default and len(kinds) == 1 and kinds <= SCALARS:
        leaves = {_leaf(left, *kinds): (THERE,)}
    return _wide(words, reason, WITH[left.side], leaves)


def _texts(field: FieldPath, values: Sequence[Any]) -> Alternatives | None:
    """The values as a pattern has them; None when one of them has no certain text."""
    if not field._codec.canonical:
        return None
    texts: list[Any] = []
    for value in values:
        try:
            ((kind, text),) = attribute_of(field, value).items()
        except (*MISFITS, ApiError):
            return None
        if kind == "N" and not is_certain(text):
            return None
        texts.append(text)
    return tuple(texts)


def _all_but(texts: Alternatives, kind: str) -> Alternatives:
    if kind == "BOOL":  # anything-but takes no booleans
        return (*(truth for truth in (True, False) if truth not in texts), NOT_THERE)
    return ({"anything-but": list(texts)}, NOT_THERE)


def _ordered(predicate: Predicate, left: Operand[Any], operator: Operator, right: Any, negated: bool) -> Term:
    words = f"~({predicate!r})" if negated else repr(predicate)
    field, kinds = left.field, _kinds(left.field)
    reason = "numbers are texts in patterns" if kinds == {"N"} else "patterns have no order of texts"
    if len(kinds) != 1 or not kinds <= SCALARS:
        return _wide(words, reason, frozenset(EVENTS) if negated else WITH[left.side])
    asked: Alternatives | None = None
    if kinds == {"N"}:
        (text,) = attribute_of(field, right).values()
        # A number that an int cannot be has no value, so every `not` of it is true: only these two read every
        # number.
        if not negated or {"Decimal", "float"} & set(field._codec.words.split(" | ")):
            asked = numeric(OPPOSITE[operator] if negated else operator, text)
    if negated:
        return _wide(
            words, reason, leaves={} if asked is None else {_leaf(left, *kinds): (*asked, NOT_THERE)}
        )
    asked = (THERE,) if asked is None else asked
    if _may_be_unsaid(field, lambda default: bool(COMPARE[operator](default, right))):
        asked = (*asked, NOT_THERE)
    return _wide(
        words, reason, WITH[left.side], {_leaf(left, *kinds): asked} if asked != (THERE, NOT_THERE) else {}
    )


OPPOSITE: Final = {">": "<=", ">=": "<", "<": ">=", "<=": ">"}


def _between(predicate: Comparison, negated: bool) -> Term:
    reason = "a pattern cannot compare two values of a record"
    if negated:
        return _wide(f"~({predicate!r})", reason)
    events, leaves = frozenset(EVENTS), dict[Path, Alternatives]()
    for side in (predicate.left, predicate.right):
        events &= WITH[side.side]
        kinds = _kinds(side.field)
        is_surely_there = (
            not _may_be_unsaid(side.field, lambda _: True) and "NULL" not in side.field._codec.kinds
        )
        if is_surely_there and len(kinds) == 1 and kinds <= SCALARS:
            leaves[_leaf(side, *kinds)] = (THERE,)
    return _wide(repr(predicate), reason, events, leaves)


def _starts(predicate: Predicate, left: Operand[Any], prefix: str, negated: bool) -> Term:
    words = f"~{predicate!r}" if negated else repr(predicate)
    if negated:
        return _wide(words, "event source mappings have no pattern for `does not begin with`")
    path = _leaf(left, "S")
    if _may_be_unsaid(left.field, lambda default: isinstance(default, str) and default.startswith(prefix)):
        return _wide(words, _unsaid(left.field), WITH[left.side], {path: ({"prefix": prefix}, NOT_THERE)})
    if len(_kinds(left.field)) == 1:
        return Term(WITH[left.side], {path: ({"prefix": prefix},)})
    return _wide(words, "it may be of several types", WITH[left.side])


def _exists(predicate: Predicate, left: Operand[Any], negated: bool) -> list[Term]:
    kinds = sorted(_kinds(left.field))
    words = f"~{predicate!r}" if negated else repr(predicate)
    if not SCALARS.issuperset(kinds):
        reason = f"a pattern cannot ask whether a {left.field._codec.words} is there"
        return [_wide(words, reason, frozenset(EVENTS) if negated else WITH[left.side])]
    if negated:
        return [Term(leaves={_leaf(left, kind): (NOT_THERE,) for kind in kinds})]
    return [Term(WITH[left.side], {_leaf(left, kind): (THERE,)}) for kind in kinds]


# ---- what follows from a change ----------------------------------------------------------------------------


def sharpened(term: Term) -> Term | None:
    """The term with what `changed` implies: paid now and changed means not paid before. None: never."""
    for path in sorted(term.changed | term.unchanged):
        for image, other in (("NewImage", "OldImage"), ("OldImage", "NewImage")):
            exact = _exact(term, image, path)
            if exact is None:
                continue
            leaf, value = exact
            mirrored = ("dynamodb", other, *leaf[2:])
            asked = (value,) if path in term.unchanged else _all_but((value,), leaf[-1])
            events = frozenset(("MODIFY",)) if path in term.unchanged else frozenset(EVENTS)
            settled = tuple(open_part for open_part in term.opened if open_part.field != path)
            met = meet([replace(term, opened=settled), Term(events, {mirrored: asked})])
            if met is None:
                return None
            term = met
            break
    return term


def _exact(term: Term, image: str, path: Path) -> tuple[Path, Any] | None:
    """The one value that a field has in an image, if the term says so."""
    start = ("dynamodb", image, *_inside(path))
    for leaf, asked in term.leaves.items():
        if leaf[:-1] == start and len(asked) == 1 and not isinstance(asked[0], dict):
            return leaf, asked[0]
    return None


def pattern_of(term: Term) -> dict[str, Any]:
    """A term in AWS's own form."""
    pattern: dict[str, Any] = {}
    if len(term.events) < len(EVENTS):
        pattern["eventName"] = [event for event in EVENTS if event in term.events]
    for path, asked in sorted(term.leaves.items()):
        place = pattern
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = list(asked)
    return pattern


def closed(terms: Sequence[Term]) -> list[Term]:
    """Terms that are asked at once: sharpened, none twice, and no more than a mapping may have."""
    distinct: list[Term] = []
    for term in terms:
        sharp = sharpened(term)
        if sharp is not None and not any(pattern_of(sharp) == pattern_of(other) for other in distinct):
            distinct.append(sharp)
    if len(distinct) <= MOST_PATTERNS:
        return distinct
    events = frozenset[str]().union(*(term.events for term in distinct))
    return [
        _wide(
            "the whole predicate",
            f"it has {len(distinct)} alternatives, and a mapping takes {MOST_PATTERNS}",
            events,
        )
    ]
