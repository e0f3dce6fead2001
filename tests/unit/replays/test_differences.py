"""In what two revisions differ: by kind, place and attributes, in whatever order changes come."""

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.replays.core.differences import (
    MOST_GROUPS,
    OTHERS,
    EffectComparison,
    EffectDifference,
    GroupName,
    differences,
    differing,
    paired,
)
from tailrace.replays.core.effects import ReplayedChange, ReplayEffect


def effect(body: Any = None, target: str = "Queue", key: str = "", kind: Any = "output") -> ReplayEffect:
    return ReplayEffect(kind, target, key, orjson.dumps(body).decode())


def change(place: int, *effects: ReplayEffect, unknown: str = "") -> ReplayedChange:
    return ReplayedChange(
        place, f"{place:066d}", f'{{"id":{{"S":"o{place}"}}}}', "MODIFY", place, effects, unknown
    )


def names(comparison: EffectComparison) -> list[tuple[Any, ...]]:
    return [(*group.name[1:], group.count, group.example.change.place) for group in comparison.ordered()]


def test_an_effect_of_one_revision_alone_is_a_difference() -> None:
    comparison = EffectComparison()
    comparison.compare("mail", change(0, effect(1)), None)
    comparison.compare("mail", change(1), change(1, effect(1)))
    comparison.compare("mail", change(2, effect(1)), change(2, effect(1), effect(1)))
    assert names(comparison) == [
        ("output", "Queue", "only now", (), 2, 1),
        ("output", "Queue", "only before", (), 1, 0),
    ]
    assert comparison.differs
    assert comparison.compared == 3


def test_attributes_that_differ_make_the_group() -> None:
    comparison = EffectComparison()
    for place in (3, 1, 2):
        comparison.compare(
            "mail",
            change(place, effect({"a": {"b": 1}, "c": place})),
            change(place, effect({"a": {"b": 2}, "c": place})),
        )
    comparison.compare("mail", change(9, effect({"c": 1})), change(9, effect({"d": 1})))
    assert names(comparison) == [
        ("output", "Queue", "changed", ("a.b",), 3, 1),
        ("output", "Queue", "changed", ("c", "d"), 1, 9),
    ]


def test_what_is_written_otherwise_and_means_the_same_is_no_difference() -> None:
    comparison = EffectComparison()
    comparison.compare("mail", change(0, effect({"a": 1, "b": 2})), change(0, effect({"b": 2, "a": 1})))
    one, other = effect(1, "A"), effect(2, "B")
    comparison.compare("mail", change(1, one, other), change(1, other, one))
    assert not comparison.differs


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ("1", 1), (None, False), ([1, 2], [2, 1])])
def test_values_that_are_nearly_the_same_differ(one: Any, other: Any) -> None:
    assert list(differing(effect({"a": one}).value, effect({"a": other}).value)) == ["a"]


def test_digits_of_numbers_are_compared_whole() -> None:
    long, longer = '{"a":0.1000000000000000055511151231257827}', '{"a":0.1000000000000000055511151231257828}'
    comparison = EffectComparison()
    comparison.compare(
        "mail",
        change(0, ReplayEffect("output", "Q", "", long)),
        change(0, ReplayEffect("output", "Q", "", longer)),
    )
    assert comparison.differs


def test_a_change_that_is_unknown_in_either_is_counted_and_not_compared() -> None:
    comparison = EffectComparison()
    comparison.compare("mail", change(0, effect(1)), change(0, unknown="example.com:443"))
    comparison.compare("mail", change(1, unknown="sqs.SendMessage"), None)
    comparison.compare("mail", change(2, unknown="example.com:443"), change(2, effect(2)))
    assert comparison.unknown == {"example.com:443": 2, "sqs.SendMessage": 1}
    assert (comparison.compared, comparison.differs) == (0, False)


def test_groups_beyond_the_bound_are_one_and_none_is_lost() -> None:
    comparison = EffectComparison()
    for number in range(MOST_GROUPS + 5):
        comparison.compare("mail", change(number), change(number, effect(1, f"t{number}")))
    assert len(comparison.groups) == MOST_GROUPS + 1
    assert sum(group.count for group in comparison.ordered()) == MOST_GROUPS + 5
    assert comparison.ordered()[0].name.target == OTHERS


def test_runs_are_read_side_by_side_and_other_changes_refused() -> None:
    one, other = [change(0), change(2), change(3)], [change(1), change(2)]
    pairs = [(a and a.place, b and b.place) for a, b in paired(iter(one), iter(other))]
    assert pairs == [(0, None), (None, 1), (2, 2), (3, None)]
    alien = ReplayedChange(2, "9" * 66, "{}", "INSERT", 1)
    with pytest.raises(ValueError, match="change 2 is"):
        list(paired(iter(one), iter([alien])))


bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
effects = st.lists(
    st.builds(
        effect, bodies, st.sampled_from("QR"), st.sampled_from(["", "k"]), st.sampled_from(["output", "call"])
    ),
    max_size=3,
)


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[ReplayedChange, ReplayedChange]]:
    count = draw(st.integers(0, 6))
    return [(change(place, *draw(effects)), change(place, *draw(effects))) for place in range(count)]


def compared(pairs: list[tuple[ReplayedChange, ReplayedChange]]) -> EffectComparison:
    comparison = EffectComparison()
    for before, now in pairs:
        comparison.compare("mail", before, now)
    return comparison


@given(runs(), st.randoms(use_true_random=False))
def test_groups_are_the_same_in_whatever_order_changes_come(
    pairs: list[tuple[ReplayedChange, ReplayedChange]], choose: random.Random
) -> None:
    shuffled = [*pairs]
    choose.shuffle(shuffled)
    assert compared(shuffled).ordered() == compared(pairs).ordered()


@given(runs())
def test_a_revision_does_not_differ_from_itself(pairs: list[tuple[ReplayedChange, ReplayedChange]]) -> None:
    assert not compared([(one, one) for one, _ in pairs]).differs


@given(runs())
def test_the_other_way_round_the_same_differs(pairs: list[tuple[ReplayedChange, ReplayedChange]]) -> None:
    turned = {"only before": "only now", "only now": "only before", "changed": "changed"}

    def told(comparison: EffectComparison) -> set[Any]:
        return {(group.name, group.count) for group in comparison.ordered()}

    back = {
        (GroupName(*name[:3], turned[name.happened], name.attributes), count)
        for name, count in told(compared([(now, before) for before, now in pairs]))
    }
    assert back == told(compared(pairs))


@given(runs())
def test_every_effect_that_is_not_the_same_is_in_a_group(
    pairs: list[tuple[ReplayedChange, ReplayedChange]],
) -> None:
    def one_by_one() -> Iterator[EffectDifference]:
        for before, now in pairs:
            yield from differences("mail", before, now)

    assert sum(group.count for group in compared(pairs).ordered()) == len(list(one_by_one()))


def test_a_comparison_that_forgets_keys_is_caught() -> None:
    """The canary: with the keys left out, two effects that changed places would be the same."""
    before = change(0, effect(1, key='"a"'), effect(2, key='"b"'))
    now = change(0, effect(2, key='"a"'), effect(1, key='"b"'))
    assert [one.name.happened for one in differences("mail", before, now)] == ["changed", "changed"]

    def keyless(one: ReplayedChange) -> ReplayedChange:
        without = sorted((effect(kept.value) for kept in one.effects), key=lambda kept: kept.body)
        return msgspec.structs.replace(one, effects=tuple(without))

    assert not list(differences("mail", keyless(before), keyless(now)))
