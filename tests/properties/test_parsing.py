"""What is formatted parses back to the same nodes: conditions, updates, projections.

Rules of this file: the formatter below knows the grammar of semantics §6.4 and nothing of the parser.
"""

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.expressions.nodes import (
    Action,
    And,
    Arithmetic,
    Between,
    Compare,
    FunctionCall,
    In,
    Node,
    Not,
    Operand,
    Or,
    Part,
    Path,
    Value,
)
from tailrace.expressions.parser import parse_condition_text, parse_projection_text, parse_update_text
from tailrace.expressions.reserved import RESERVED

relaxed = settings(deadline=None, max_examples=80)

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: name.upper() not in RESERVED
)
marked = st.from_regex(r"#[A-Za-z0-9_]{1,4}", fullmatch=True)
parts: st.SearchStrategy[Part] = names | marked | st.integers(0, 99_999)
paths = st.builds(lambda first, rest: Path((first, *rest)), names | marked, st.lists(parts, max_size=3))
literals = st.from_regex(r":[A-Za-z0-9_]{1,4}", fullmatch=True).map(Value)
plain = paths | literals
operands: st.SearchStrategy[Operand] = plain | plain.map(lambda operand: FunctionCall("size", (operand,)))
tests = st.builds(
    lambda name, first, rest: FunctionCall(name, (first, *rest)),
    st.sampled_from(
        ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"]
    ),
    operands,
    st.lists(operands, max_size=2),
)
leaves: st.SearchStrategy[Node] = st.one_of(
    st.builds(Compare, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), operands, operands),
    st.builds(Between, operands, operands, operands),
    st.builds(In, operands, st.lists(operands, min_size=1, max_size=4).map(tuple)),
    tests,
)


def joined(kind: type[And] | type[Or], nodes: list[Node]) -> Node:
    """All in one: what is of the same kind inside comes apart, as in a text."""
    flat = tuple(
        condition for node in nodes for condition in (node.conditions if isinstance(node, kind) else (node,))
    )
    return kind(flat)


conditions: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda nodes: joined(And, nodes)),
        st.lists(inner, min_size=2, max_size=3).map(lambda nodes: joined(Or, nodes)),
    ),
    max_leaves=8,
)
made: st.SearchStrategy[Operand] = st.recursive(
    plain,
    lambda inner: st.builds(
        lambda name, one, two: FunctionCall(name, (one, two)),
        st.sampled_from(["if_not_exists", "list_append"]),
        inner,
        inner,
    ),
    max_leaves=4,
)
actions = st.one_of(
    st.builds(Action, st.just("SET"), paths, made | st.builds(Arithmetic, st.sampled_from("+-"), made, made)),
    st.builds(Action, st.just("REMOVE"), paths),
    st.builds(Action, st.sampled_from(["ADD", "DELETE"]), paths, literals),
)
blanks = st.sampled_from(["", " ", "\n\t "])


# ---- nodes → text ------------------------------------------------------------------------------------------


def written_path(path: Path) -> str:
    first, *rest = path.parts
    return str(first) + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)


def written(thing: Operand | Node, gap: str, binding: int = 0) -> str:
    """The text of an operand or a condition, in parentheses where it binds less than what is around it."""
    match thing:
        case Path():
            return written_path(thing)
        case Value(name):
            return name
        case FunctionCall(name, inner):
            return (
                f"{name}({gap}" + f"{gap},{gap}".join(written(operand, gap) for operand in inner) + f"{gap})"
            )
        case Arithmetic(operator, left, right):
            return f"{written(left, gap)}{gap}{operator}{gap}{written(right, gap)}"
        case Compare(operator, left, right):
            return f"{written(left, gap)}{gap}{operator}{gap}{written(right, gap)}"
        case Between(operand, low, high):
            return f"{written(operand, gap)} BETWEEN {written(low, gap)} AND {written(high, gap)}"
        case In(operand, options):
            listed = f"{gap},{gap}".join(written(operand, gap) for operand in options)
            return f"{written(operand, gap)} IN{gap}({gap}{listed}{gap})"
        case Not(condition):
            text, own = f"NOT {written(condition, gap, 3)}", 3
        case And(conditions):
            text, own = " AND ".join(written(condition, gap, 3) for condition in conditions), 2
        case Or(conditions):
            text, own = " OR ".join(written(condition, gap, 2) for condition in conditions), 1
    return f"({gap}{text}{gap})" if own < binding else text


def written_update(given: list[Action], gap: str) -> str:
    sections: dict[str, list[str]] = {}
    for action in given:
        path = written_path(action.path)
        sign = "=" if action.section == "SET" else " "
        text = path if action.operand is None else f"{path}{gap}{sign}{gap}{written(action.operand, gap)}"
        sections.setdefault(action.section, []).append(text)
    return " ".join(f"{section} {','.join(texts)}" for section, texts in sections.items())


# ---- and back ----------------------------------------------------------------------------------------------


@relaxed
@given(conditions, blanks)
def test_a_condition_parses_back_to_itself(node: Node, gap: str) -> None:
    parsed = parse_condition_text(written(node, gap), "ConditionExpression")
    assert parsed.node == node


@relaxed
@given(st.lists(actions, min_size=1, max_size=5), blanks)
def test_an_update_parses_back_to_itself(given_actions: list[Action], gap: str) -> None:
    parsed = parse_update_text(written_update(given_actions, gap)).actions
    order = list(dict.fromkeys(action.section for action in given_actions))
    assert list(parsed) == sorted(given_actions, key=lambda action: order.index(action.section))


@relaxed
@given(st.lists(paths, min_size=1, max_size=5))
def test_a_projection_parses_back_to_itself(given_paths: list[Path]) -> None:
    text = ", ".join(map(written_path, given_paths))
    assert list(parse_projection_text(text).paths) == given_paths
