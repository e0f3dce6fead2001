"""The exhibits that concern a reader, over real HTTP: the model of the mistake fails, and our worker does
not, whatever the network does to it.

Rules of this file: the scenes are the exhibits' own; what befalls our worker's calls is chosen by a seed, and
is the same in every run.
"""

from collections.abc import Callable
from importlib import import_module
from itertools import count
from typing import Any, NamedTuple

import pytest

from tailrace.aws import client
from tailrace.patterns.pattern import compile_pattern
from tailrace.sources.dialects import ALTERNATOR
from tailrace.testing.proxy import (
    Again,
    Alter,
    CutOff,
    Late,
    Never,
    Proxy,
    Twice,
    chosen_faults,
    denied,
    expired,
    failing,
    throttled,
)
from tests.museum.catalogue import EXHIBITS
from tests.museum.far_stage import FarStage
from tests.museum.reader import Place, Reader
from tests.museum.stage import RIGHT, Verdict

PER_MILLE = 150
EXHIBIT = {number: import_module(f"tests.museum.{module}") for number, module in EXHIBITS.items()}


class Scene(NamedTuple):
    """An exhibit. Shape: `lost` what the model loses (or how many), `ours` what cannot be had any more;
    `is_told` where ours names a gap: also where a shard is gone of which nobody over there says how much it
    had.
    """

    model: type[Reader]
    play: Callable[[Any, Any], None]
    lost: list[str] | int
    disordered: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    shards: int = 1
    is_told: bool | None = False


SCENES = {
    1: Scene(EXHIBIT[1].WaitsForever, EXHIBIT[1].play, ["a2", "c1"], is_told=None),
    2: Scene(EXHIBIT[2].MarksAfterOnePage, EXHIBIT[2].play, ["i101", "i111", "i121", "i131", "i141"]),
    3: Scene(EXHIBIT[3].EndsWhenExpired, EXHIBIT[3].play, 11),
    4: Scene(EXHIBIT[4].AsksForEver, EXHIBIT[4].play, ["b1", "a2"], ours=("b1",), is_told=True),
    5: Scene(EXHIBIT[5].BeginsAnew, EXHIBIT[5].play, ["a1", "b1", "c1"], shards=EXHIBIT[5].SHARDS),
    6: Scene(EXHIBIT[6].AlwaysLatest, EXHIBIT[6].play, ["a2", "a3", "a4"]),
    8: Scene(EXHIBIT[8].EndedIsFinished, EXHIBIT[8].play, ["c1", "d1", "e1", "f1"]),
    9: Scene(EXHIBIT[9].OldListing, EXHIBIT[9].play, ["a2"]),
    10: Scene(EXHIBIT[10].EndsAtTheHorizon, EXHIBIT[10].play, ["a2", "a3"], is_told=None),
    15: Scene(EXHIBIT[15].TakesAPageForAll, EXHIBIT[15].play, [], disordered=("a13",)),
    17: Scene(EXHIBIT[17].Swallows, EXHIBIT[17].play, 20, shards=2),
}


def disturb(proxy: Proxy, seed: int) -> None:
    """Trouble for our worker's calls: for about one in seven of each kind."""
    hidden = count()

    def contradicts(members: dict[str, Any]) -> dict[str, Any]:
        """Pages that lack a shard, or show one open that is closed."""
        shards = members["StreamDescription"]["Shards"]
        if shards and next(hidden) % 2:
            shards.pop(next(hidden) % len(shards))
        for shard in shards:
            shard["SequenceNumberRange"].pop("EndingSequenceNumber", None)
        return members

    of_all = [CutOff(), CutOff(30), Late(2), failing(), denied(), Twice()]
    troubles = {
        "GetRecords": [*of_all, throttled(), expired(), Again()],
        "GetShardIterator": [*of_all, throttled("GetShardIterator")],
        "DescribeStream": [*of_all, throttled("DescribeStream"), Alter(contradicts), Alter(contradicts)],
        "ListStreams": of_all,
        "DescribeTable": of_all,
    }
    for operation, faults in troubles.items():
        for number, fault in chosen_faults(f"{seed}/{operation}", faults, PER_MILLE, 400).items():
            proxy.on(operation, fault, calls=[number])


SLOW = {5, 6}
"""Hundreds of shards, and many hours. Both have tests without HTTP (`test_05…`, `test_06…`); over HTTP, a
listing of several pages is exhibit 15, and what begins from now on is in `tests/acceptance/test_worker.py`.
"""


@pytest.mark.parametrize(
    "number",
    [pytest.param(number, marks=pytest.mark.slow) if number in SLOW else number for number in SCENES],
)
def test_the_model_fails_and_ours_does_not(number: int) -> None:
    scene = SCENES[number]
    with FarStage(shards=scene.shards) as stage:
        disturb(stage.proxy, number)
        reader = scene.model(stage)
        scene.play(stage, reader)
        verdict = stage.judge(reader.delivered)
        lost = verdict.lost if isinstance(scene.lost, list) else len(verdict.lost)
        assert (lost, tuple(verdict.disordered)) == (scene.lost, scene.disordered)
        assert stage.judge_ours() == Verdict(list(scene.ours), [], [])
        assert scene.is_told in (None, bool(stage.world.gaps()))
        assert any(call.fault for call in stage.proxy.calls)


# ---- exhibits with a scene of their own over HTTP ----------------------------------------------------------


def test_07_what_was_on_its_way_when_a_worker_died_is_lost_by_the_model_and_not_by_ours() -> None:
    with FarStage() as stage:
        disturb(stage.proxy, 7)
        stage.takes_s = 10.0
        stage.put("a", "b", "c")
        reader = EXHIBIT[7].SavesFirst(stage)
        with pytest.raises(EXHIBIT[7].Died):
            reader.poll()
        reader.crash()
        reader.poll()
        assert stage.judge(reader.delivered).lost == ["b1", "c1"]
        for _ in range(2):
            while not stage.world.alarms:
                stage.world.advance(1_000)
            stage.world.restart()  # in the middle of a change
        verdict = stage.judge_ours()
        assert (verdict.lost, verdict.disordered) == ([], [])


class TakesItForFinal(Reader):
    """The mistake: an access error ends the shard's reader."""

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        place.is_finished = True


def test_11_a_refusal_that_passes_kills_the_model_and_not_ours() -> None:
    with FarStage() as stage:
        for proxy in (stage.proxy, stage.world.theirs):
            proxy.on("GetShardIterator", denied(), calls=[1, 2, 3]).on("GetRecords", denied(), calls=[2])
        for operation in ("DescribeStream", "DescribeTable", "ListStreams"):
            stage.proxy.on(operation, denied(), calls=[2, 3])
        model, plain = TakesItForFinal(stage), EXHIBIT[11].Reader(stage)
        stage.put("a", "b")
        stage.pass_time("30m", model)
        assert stage.judge(model.delivered).lost == ["a1", "b1"]
        stage.pass_time("30m", plain)
        assert stage.judge(plain.delivered) == stage.judge_ours() == RIGHT


def test_14_a_stream_that_is_made_again_is_delivered_by_ours_and_not_by_the_model() -> None:
    EXHIBIT[14].test_the_model_delivers_nothing_of_the_new_stream()
    with FarStage() as stage:
        disturb(stage.proxy, 14)
        stage.put("a", "b", "c")
        stage.world.settle()
        stage.world.make_again("orders")
        stage.put("a", "b")
        assert stage.judge_ours() == RIGHT
        assert stage.world.gaps() == []


def test_16_a_lease_that_is_renewed_costs_the_model_its_checkpoint_and_ours_nothing() -> None:
    EXHIBIT[16].test_the_model_repeats_everything_after_a_renewal()
    with FarStage() as stage:
        disturb(stage.proxy, 16)
        stage.takes_s = 1_500.0
        stage.put("a", "b")
        assert stage.judge_ours() == RIGHT
        stage.world.restart()
        assert stage.judge_ours() == RIGHT


def test_20_a_filter_for_what_is_absent_lets_it_through_in_ours_and_not_in_the_model() -> None:
    EXHIBIT[20].test_the_model_refuses_what_it_is_asked_for()
    with FarStage(settings={"filters": (compile_pattern(EXHIBIT[20].PATTERN),)}) as stage:
        disturb(stage.proxy, 20)
        stage.put("a")
        stage.world.put("orders", {"id": "b", "n": 1, "deleted": True})
        stage.world.put("orders", {"id": "c", "n": 1, "deleted": False})
        stage.world.settle()
        assert stage.ours == ["a1"]


class Emitting:
    """A server's mistake: behind every change comes a record of a write that changed nothing."""

    def __init__(self) -> None:
        self.emitted = 0

    def __call__(self, members: dict[str, Any]) -> dict[str, Any]:
        records = []
        for record in members["Records"]:
            image, number = record["dynamodb"]["NewImage"], int(record["dynamodb"]["SequenceNumber"])
            body = record["dynamodb"] | {
                "OldImage": dict(reversed(image.items())),
                "SequenceNumber": str(number + 1),
            }
            records += [record, record | {"eventName": "MODIFY", "dynamodb": body}]
            self.emitted += 1
        return members | {"Records": records}


def test_21_a_write_without_change_is_no_change_in_ours_and_one_in_the_model() -> None:
    EXHIBIT[21].test_the_model_logs_a_change_of_nothing()
    for dialect, expected in ((None, ["a1", "a1"]), (ALTERNATOR, ["a1"])):
        with FarStage(dialect=dialect) as stage:
            emitting = Emitting()
            stage.proxy.on("GetRecords", Alter(emitting))
            for item in (EXHIBIT[21].ONE, EXHIBIT[21].ONE, EXHIBIT[21].SAME):
                stage.world.put("orders", item | {"n": 1})
            stage.world.settle()
            assert emitting.emitted
            assert stage.ours == expected  # without the dialect the reader is the model


def test_27_the_key_of_a_deletion_is_that_of_the_record_in_ours_and_of_no_image_in_the_model() -> None:
    index = EXHIBIT[27].Index()

    class Indexing(Reader):
        def sink(self, record: dict[str, Any]) -> None:
            index.apply(record)

    with FarStage() as stage:
        disturb(stage.proxy, 27)
        stage.put("a", "b")
        stage.world.delete("orders", {"id": "a"})
        Indexing(stage).poll()
        assert sorted(index.documents) == ["a", "b"]
        stage.world.settle()
        assert stage.ours == ["a1", "b1", "a1"]
        assert [key for key, document in stage.documents.items() if document is not None] == ["b"]


def test_28_the_last_change_of_a_second_is_the_newest_in_ours_and_not_in_the_model() -> None:
    with FarStage() as stage:
        disturb(stage.proxy, 28)
        stage.put("a", "a")
        reader = EXHIBIT[28].NewestBySecond(stage)
        reader.poll()
        assert reader.target["a"][1] == "a1"
        stage.world.settle()
        assert stage.documents["a"]["n"] == 2


def test_30_busy_shards_fill_the_memory_of_the_model_and_not_ours() -> None:
    settings = {"buffer_records": EXHIBIT[30].BUFFER, "batch_size": 1}
    with FarStage(shards=EXHIBIT[30].SHARDS, settings=settings) as stage:
        disturb(stage.proxy, 30)
        EXHIBIT[30].write(stage)
        reader = EXHIBIT[30].ReadsAhead(stage)
        reader.poll()
        assert len(reader.buffer) == EXHIBIT[30].RECORDS
        worker = stage.world._running[0].worker
        while len(unsettled := [status.unsettled for status in worker.status()]) < EXHIBIT[30].SHARDS:
            stage.world.advance(1_000)
        assert 0 < max(unsettled) <= 2 * EXHIBIT[30].BUFFER
        assert stage.judge_ours() == RIGHT


def test_answers_that_never_come_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "READ_S", 0.5)
    with FarStage() as stage:
        stage.proxy.on("GetRecords", Never(), calls=[2, 3]).on("DescribeStream", Never(seen=False), calls=[2])
        stage.put("a")
        stage.pass_time("5m")
        stage.put("b", "a")
        assert stage.judge_ours() == RIGHT
        assert any(call.fault == Never() for call in stage.proxy.calls)


def test_trouble_is_the_same_in_every_run() -> None:
    rules = []
    for _ in range(2):
        with Proxy("http://127.0.0.1:1") as proxy:
            disturb(proxy, 5)
            rules.append([(rule.operation, repr(rule.fault)[:20], rule.calls) for rule in proxy._rules])
    assert rules[0] == rules[1]
    assert len(rules[0]) > 150
