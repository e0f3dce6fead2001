"""Two updates of one item, one after the other, as one update.

Rules of this file: exact or refused. The one update makes of every item what the two make of it in turn, and
fails where one of them fails; what cannot be written so is `NotExact`, with the reason. Only numbers on their
way may be larger or longer than DynamoDB keeps them: it is the sum that is judged. Called by
tables/merging.py.

Theory of operation: in one update every right-hand side sees the item as it was before. So an action of the
second update can stand beside those of the first as it is when it neither reads nor writes what they write;
where both write at one path, the two actions become one. Paths that part at an index of a list are never
apart: an element that is appended or removed moves the others.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from tailrace.errors import ApiError
from tailrace.expressions.nodes import Action, Arithmetic, FunctionCall, Operand, Path, Value, paths_of
from tailrace.expressions.operands import kind_of
from tailrace.values.canonical import add, subtract
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_value

Relation: TypeAlias = Literal["apart", "same", "entangled"]
CREATING: Final = frozenset({"SET", "ADD"})
"""The sections whose actions make an item that is not there."""


class NotExact(Exception):
    """No one write does what the two do in turn. Shape: the argument is why, as the end of a sentence."""


def relation(written: Path, other: Path) -> Relation:
    """How a path that is written lies to another one.

    >>> relation(Path(("a", "b")), Path(("a", "c"))), relation(Path(("a",)), Path(("a", "b")))
    ('apart', 'entangled')
    """
    for mine, theirs in zip(written.parts, other.parts, strict=False):
        if mine != theirs:
            return "apart" if isinstance(mine, str) and isinstance(theirs, str) else "entangled"
    is_same = len(written.parts) == len(other.parts) and not isinstance(written.parts[-1], int)
    return "same" if is_same else "entangled"


def cannot_fail(actions: Sequence[Action]) -> bool:
    """Whether an update succeeds whatever the item holds: whole attributes are removed or get a value that is
    given.
    """
    return all(len(action.path.parts) == 1 and _is_safe(action) for action in actions)


def composed(first: Sequence[Action], second: Sequence[Action], values: Item) -> list[Action]:
    """The actions of one update. Shape: `values` stand behind both, and get what is computed. Raises:
    NotExact.
    """
    return _Composing(first, values).compose(second)


def _is_safe(action: Action) -> bool:
    match action:
        case Action("REMOVE") | Action("SET", _, Value() | FunctionCall("if_not_exists", (Path(), Value()))):
            return True
        case _:
            return False


def _only_removes(actions: Sequence[Action]) -> bool:
    return all(action.section == "REMOVE" for action in actions)


class _Composing:
    """One composition. Shape: `_first` sees the item before, whatever is added sees it after."""

    def __init__(self, first: Sequence[Action], values: Item) -> None:
        self._first = first
        self._values = values

    def compose(self, second: Sequence[Action]) -> list[Action]:
        """Both, as one. Raises: NotExact."""
        replaced: dict[Path, Action] = {}
        added: list[Action] = []
        for action in second:
            before = self._before(action.path)
            if before is None:
                added.append(self._seen(action))
            else:
                replaced[before.path] = self._joined(before, action)
        self._require_one_view_of_absence(second)
        composed = [replaced.get(action.path, action) for action in self._first] + added
        if any(action.section in CREATING for action in (*self._first, *second)) and not any(
            action.section in CREATING for action in composed
        ):
            raise NotExact("what the first sets the second removes, and an item without either would stay")
        return composed

    def _require_one_view_of_absence(self, second: Sequence[Action]) -> None:
        """REMOVE alone finds nothing amiss with an item that is not there, even inside an attribute; beside
        another section it does. Raises: NotExact.
        """
        both = (*self._first, *second)
        creates = any(action.section in CREATING for action in self._first)
        if (
            not creates
            and _only_removes(self._first) != _only_removes(second)
            and any(action.section == "REMOVE" and len(action.path.parts) > 1 for action in both)
        ):
            raise NotExact(
                "one removes inside an attribute, which alone it may do to an item that is not there"
            )

    def _before(self, path: Path) -> Action | None:
        """The first update's action at a path. Raises: NotExact when one lies above, below or beside it in a
        list.
        """
        before = None
        for action in self._first:
            match relation(action.path, path):
                case "same":
                    before = action
                case "entangled":
                    raise NotExact(f"both write into {_shown(action.path)}")
        return before

    def _seen(self, action: Action) -> Action:
        operand = action.operand
        return action if operand is None else Action(action.section, action.path, self._known(operand))

    def _known(self, operand: Operand) -> Operand:
        """An operand with what the first update is known to have put there. Raises: NotExact."""
        match operand:
            case Value():
                return operand
            case Path():
                put = self._put_at(operand)
                if put is None:
                    raise NotExact(f"the second reads {_shown(operand)}, which the first has removed")
                return put
            case FunctionCall("if_not_exists", (Path() as path, other)):
                put = self._put_at(path)
                if put is None:
                    return self._known(other)
                return put if put != path else FunctionCall("if_not_exists", (path, self._known(other)))
            case FunctionCall(name, operands):
                return FunctionCall(name, tuple(self._known(operand) for operand in operands))
            case Arithmetic(operator, left, right):
                return Arithmetic(operator, self._known(left), self._known(right))

    def _put_at(self, path: Path) -> Operand | None:
        """What stands at a path after the first update: the path itself where nothing was written, None where
        it was removed.
        """
        action = self._before_read(path)
        match action:
            case None:
                return path
            case Action("REMOVE"):
                return None
            case Action("SET", _, Value() as value):
                return value
            case _:
                raise NotExact(f"the second reads {_shown(path)}, which the first computes")

    def _before_read(self, path: Path) -> Action | None:
        for action in self._first:
            match relation(action.path, path):
                case "same":
                    return action
                case "entangled":
                    raise NotExact(f"the second reads {_shown(path)}, and the first writes into it")
        return None

    # ---- two actions at one path ---------------------------------------------------------------------------

    def _joined(self, first: Action, second: Action) -> Action:
        path = first.path
        match first, second:
            case Action("REMOVE") | Action("SET", _, Value()), Action("SET"):
                return self._seen(second)
            case Action("REMOVE"), Action("ADD"):
                return Action("SET", path, second.operand)
            case Action("REMOVE"), Action("REMOVE" | "DELETE"):
                return first
            case Action("SET" | "ADD"), Action(
                "SET", _, FunctionCall("if_not_exists", (Path() as asked, Value()))
            ) if asked == path:
                return first
            case Action("SET", _, Value(name)), Action("ADD" | "DELETE" as section, _, Value(given)):
                return self._counted(path, section, self._values[name], self._values[given])
            case Action("ADD" | "DELETE" as section, _, Value(name)), Action(other, _, Value(given)) if (
                other == section
            ):
                return Action(section, path, self._new(self._together(path, name, given)))
        if _is_safe(first) and (
            second.section == "REMOVE" or (second.section == "SET" and not _reads(second, path))
        ):
            return self._seen(second)
        return self._summed(first, second)

    def _counted(self, path: Path, section: str, old: AttributeValue, operand: AttributeValue) -> Action:
        """ADD or DELETE of a value that is known."""
        kind = kind_of(operand)
        if kind not in old:
            raise NotExact(f"the second would fail at {_shown(path)}: the types differ")
        if kind == "N":
            return Action("SET", path, self._new({"N": _sum(old["N"], operand["N"])}))
        if section == "ADD":
            return Action("SET", path, self._new(_union(kind, old, operand)))
        left = [element for element in old[kind] if element not in set(operand[kind])]
        return Action("SET", path, self._new({kind: left})) if left else Action("REMOVE", path)

    def _together(self, path: Path, name: str, operand: str) -> AttributeValue:
        first, second = self._values[name], self._values[operand]
        kind = kind_of(first)
        if kind not in second:
            raise NotExact(f"the second would fail at {_shown(path)}: the types differ")
        return {"N": _sum(first["N"], second["N"])} if kind == "N" else _union(kind, first, second)

    def _summed(self, first: Action, second: Action) -> Action:
        """Two sums of what stands at the path and a number. Raises: NotExact for anything else."""
        mine, theirs = self._sum_of(first), self._sum_of(second)
        if mine is None or theirs is None:
            raise NotExact(f"at {_shown(first.path)} the second depends on what the first finds there")
        (base, number), (_, other) = mine, theirs
        total = self._new({"N": _sum(number, other)})
        if base is None:
            return Action("ADD", first.path, total)
        return Action("SET", first.path, Arithmetic("+", base, total))

    def _sum_of(self, action: Action) -> tuple[Operand | None, str] | None:
        """What a sum begins with (None: an ADD) and what it adds."""
        match action:
            case Action("ADD", _, Value(name)) if "N" in self._values[name]:
                return None, self._values[name]["N"]
            case Action("SET", path, Arithmetic(operator, left, right)):
                if operator == "+" and isinstance(left, Value):
                    left, right = right, left
                if not isinstance(right, Value) or "N" not in self._values[right.name]:
                    return None
                number = self._values[right.name]["N"]
                number = number if operator == "+" else subtract("0", number)
                return (left, number) if self._is_base(left, path) else None
            case Action("SET", path, FunctionCall() as base) if self._is_base(base, path):
                return base, "0"
            case _:
                return None

    def _is_base(self, operand: Operand, path: Path) -> bool:
        match operand:
            case Path():
                return operand == path
            case FunctionCall("if_not_exists", (Path() as asked, Value(name))):
                return asked == path and "N" in self._values[name]
            case _:
                return False

    def _new(self, value: AttributeValue) -> Value:
        name = f":composed{len(self._values)}"
        self._values[name] = value
        return Value(name)


def _reads(action: Action, path: Path) -> bool:
    return action.operand is not None and any(
        relation(path, source) != "apart" for source in paths_of(action.operand)
    )


def _sum(a: str, b: str) -> str:
    try:
        return add(a, b)
    except ApiError as error:
        raise NotExact(f"their sum is no Number of DynamoDB's: {error.message}") from None


def _union(kind: str, first: AttributeValue, second: AttributeValue) -> AttributeValue:
    mine: list[str] = first[kind]
    return read_value({kind: [*mine, *set(second[kind]).difference(mine)]})


def _shown(path: Path) -> str:
    pieces = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path.parts)
    return "".join(pieces)[1:]
