"""§5: `once=True` with a sink: the output goes before the mark, with a key by which the
receiver knows a repetition.
"""

import pytest

from tailrace import App, Change, Retry, Throttled, Unavailable, sinks
from tailrace.errors import SettingsError
from tailrace.ports import Failed, Failure, FailureKind, Outcome, RecordBatch, Written
from tailrace.sinks.messages import Message, messages_of
from tailrace.testing import World


class Inbox:
    """A far side that knows what it has by the message's id. Shape: `answers` come
    before it takes anything.
    """

    tells_repeats = True

    def __init__(self, *answers: Outcome | Exception) -> None:
        self.answers = list(answers)
        self.taken: dict[str, bytes] = {}
        self.repeated = 0

    async def write(self, batch: RecordBatch) -> Outcome:
        """Take each message once."""
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer
        for message in messages_of(batch):
            assert isinstance(message, Message)
            self.repeated += message.id in self.taken
            assert self.taken.setdefault(message.id, message.body) == message.body
        return Written()


def shop(inbox: Inbox) -> tuple[App, list[str]]:
    app = App("shop")
    orders = app.table("orders", pk="id")
    calls: list[str] = []

    @app.on(orders, once=True, retry=Retry(3), id="note")
    def note(change: Change) -> dict[str, str]:
        calls.append(str(change.key))
        return {"paid": str(change.key)}

    app.sink("note", inbox)
    return app, calls


@pytest.mark.parametrize(
    "answer",
    [
        Throttled("slower"), Unavailable("away", retry_after=30),
        Failed(whole=Failure(FailureKind.THROTTLED)),
        Failed({0: Failure(FailureKind.RECORD, "not now")}),
    ],
)  # fmt: skip
def test_a_refused_output_is_written_again_and_the_handler_is_not_called_again(
    answer: Outcome | Exception,
) -> None:
    inbox = Inbox(answer)
    app, calls = shop(inbox)
    with World(app, sinks="real") as world:
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
    assert calls == ["a"]
    assert list(inbox.taken.values()) == [b'{"paid":"a"}']


@pytest.mark.parametrize("seed", range(6))
def test_no_output_is_lost_and_a_repetition_is_known_whatever_crashes(seed: int) -> None:
    inbox = Inbox()
    app, calls = shop(inbox)
    with (
        World(app, seed=seed, sinks="real") as world,
        world.faults(crash="anywhere", duplicates=0.3, throttle=0.2),
    ):
        for number in range(20):
            world.put(app.tables["orders"], {"id": f"o{number}"})
        world.settle()
    assert sorted(inbox.taken.values()) == sorted(b'{"paid":"o%d"}' % number for number in range(20))
    assert set(calls) == {f"o{number}" for number in range(20)}


@pytest.mark.parametrize(
    "sink", [sinks.Sqs("https://sqs/1/q"), sinks.Sns("arn:aws:sns:us-east-1:1:t"), sinks.Function(print)]
)
def test_a_sink_that_cannot_tell_repetitions_is_refused_in_words(sink: object) -> None:
    app = App("shop")

    @app.on(app.table("orders", pk="id"), once=True, id="note")
    def note(change: Change) -> int:
        return 1

    with pytest.raises(SettingsError, match=r"'note' has once=True, and .* could not tell a repeated output"):
        app.sink(note, sink)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sink",
    [
        sinks.Sqs("https://sqs/1/q.fifo"), sinks.Sns("arn:aws:sns:us-east-1:1:t.fifo"),
        sinks.EventBridge("bus"),
        sinks.Webhook("https://example.com"), sinks.DynamoDB("orders"),
    ],
)  # fmt: skip
def test_a_sink_that_hands_on_the_key_takes_the_output_of_a_handler_that_is_once(sink: object) -> None:
    app = App("shop")

    @app.on(app.table("orders", pk="id"), once=True, id="note")
    def note(change: Change) -> int:
        return 1

    app.sink(note, sink)  # type: ignore[arg-type]
    assert app.mappings[0].sink is sink
