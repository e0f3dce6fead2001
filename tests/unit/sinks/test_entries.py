"""Calls of several messages: cut by number and by what they weigh, and one bad message or one bad call says
nothing of the others.
"""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.errors import Refused, SinkError, Throttled, Unavailable
from tailrace.ports import Failed, Failure, FailureKind, Outcome, RecordBatch, Written
from tailrace.sinks.entries import write_entries
from tailrace.sinks.messages import Message, Refusals
from tailrace.testing.contracts.sink import _batch, batch_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Service:
    """Takes calls of several messages. Shape: `bad` are the bodies that it refuses with the whole call;
    `answers` come first.
    """

    def __init__(self, *answers: SinkError | None, bad: frozenset[bytes] = frozenset()) -> None:
        self.answers = list(answers)
        self.bad = bad
        self.calls: list[list[bytes]] = []

    async def send(self, messages: Sequence[Message]) -> Refusals:
        """One call."""
        self.calls.append([message.body for message in messages])
        error = self.answers.pop(0) if self.answers else None
        if error is not None:
            raise error
        if any(message.body in self.bad for message in messages):
            raise Refused("InvalidMessageContents")
        return {}


def texts(letters: str = LETTERS, size: int = 1) -> RecordBatch:
    return replace(_batch(batch_of(letters)), values=tuple(letter * size for letter in letters))


def write(service: Service, batch: RecordBatch, most_bytes: int = 1_000) -> Outcome:
    return asyncio.run(write_entries(batch, service.send, most_bytes=most_bytes, receiver="a queue"))


def test_calls_are_cut_so_that_their_messages_weigh_no_more_than_one_may() -> None:
    service = Service()
    assert write(service, texts("abcdef", size=398)) == Written()  # with its quotes a message has 400 bytes
    assert [len(call) for call in service.calls] == [2, 2, 2]


def test_a_message_too_large_for_any_call_is_refused_for_good_and_alone() -> None:
    """Fault 2.11."""
    service = Service()
    batch = replace(texts("abc"), values=("a", "b" * 1_000, "c"))
    outcome = write(service, batch)
    assert isinstance(outcome, Failed)
    assert list(outcome.failures) == [1]
    assert outcome.failures[1].final
    assert "1,002 bytes" in outcome.failures[1].error
    assert service.calls == [[b'"a"', b'"c"']]


def test_a_call_that_is_refused_for_its_content_is_cut_until_the_culprit_is_known() -> None:
    outcome = write(Service(bad=frozenset({b'"c"'})), texts("abcdefgh"))
    assert isinstance(outcome, Failed)
    assert {place: failure.final for place, failure in outcome.failures.items()} == {2: True}


def test_a_throttled_call_fails_what_it_held_and_nothing_after_it() -> None:
    """Fault 2.9: one throttled call of ten failed all that came after it."""
    service = Service(None, Throttled("slower"))
    outcome = write(service, texts())
    assert isinstance(outcome, Failed)
    assert list(outcome.failures) == list(range(10, 20))
    assert {failure.kind for failure in outcome.failures.values()} == {FailureKind.THROTTLED}
    assert len(service.calls) == 3


def test_three_outages_in_a_row_say_it_for_the_rest_of_the_batch() -> None:
    service = Service(None, Unavailable("500"), Throttled("slower"), Unavailable("500"))
    outcome = write(service, texts(LETTERS + LETTERS.upper()))
    assert isinstance(outcome, Failed)
    assert list(outcome.failures) == list(range(10, 52))
    assert len(service.calls) == 4


def test_what_is_said_of_us_needs_no_second_call() -> None:
    service = Service(Unavailable("ExpiredToken", hint="aws sso login"))
    outcome = write(service, texts())
    assert isinstance(outcome, Failed)
    assert len(outcome.failures) == 26
    assert len(service.calls) == 1


def test_an_outage_in_the_second_half_leaves_the_first_half_sent() -> None:
    service = Service(Refused("which one?"), None, Throttled("slower"))
    outcome = write(service, texts("abcd"))
    assert outcome == Failed(
        {
            place: Failure(FailureKind.THROTTLED, "Throttled: slower", traceback=_trace(outcome))
            for place in (2, 3)
        }
    )


def _trace(outcome: Outcome) -> str:
    assert isinstance(outcome, Failed)
    return outcome.failures[2].traceback
