"""A checkpoint is older than what the stream keeps (spiceai #10754).

In the wild: after more than a day away the position was of a record that was trimmed. The refusal ended the
reader while the process kept reporting that it was ready.

Here: reading goes on with the oldest record there is, and the range that was never seen is named as a
gap of that handler.
"""

from tests.museum.reader import Place, Reader
from tests.museum.stage import Stage


class EndsAtTheHorizon(Reader):
    """The mistake: a position that is refused ends the whole reader."""

    is_dead = False

    def poll(self) -> None:
        if not self.is_dead:
            super().poll()

    def failed(self, shard_id: str, place: Place, code: str) -> None:
        self.is_dead = True


def play(stage: Stage, reader: Reader) -> None:
    stage.put("a")
    stage.pass_time("5m", reader)
    stage.world.kill()
    stage.world.advance("30h")
    stage.put("a")
    reader.crash()
    stage.world.restart()
    stage.pass_time("1h", reader)
    stage.put("a")
    stage.pass_time("1h", reader)


def test_the_model_is_dead_and_looks_alive() -> None:
    with Stage() as stage:
        reader = EndsAtTheHorizon(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == ["a2", "a3"]


def test_ours_and_a_plain_reader_go_on_with_the_oldest_there_is() -> None:
    with Stage() as stage:
        reader = Reader(stage)
        play(stage, reader)
        assert stage.judge(reader.delivered).lost == stage.judge_ours().lost == []


def test_ours_names_what_it_never_saw() -> None:
    with Stage() as stage:
        stage.put("a")
        stage.world.settle()
        stage.world.kill()
        stage.put("b")
        stage.world.advance("30h")
        stage.put("a")
        stage.world.restart()
        assert stage.judge_ours().lost == ["b1"]
        assert [gap.handler for gap in stage.world.gaps()] == ["ours"]
