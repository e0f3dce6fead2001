"""A partial answer sets the count of attempts back (floci #3428).

In the wild: an emulator's mapping counted its attempts of a batch, and set the count back at every partial
answer. A function that named the first record of what was left, again and again, was called for ever:
`MaximumRetryAttempts` was never reached.

Here: a batch that became shorter is a new one, with attempts of its own; one whose *first* record is named
has failed, and that counts. With two retries such a record is tried three times and is then a dead letter.
"""

from typing import Any

from tailrace import App
from tailrace.testing import World

RETRIES, PATIENCE = 2, 50
REPORT = ["ReportBatchItemFailures"]


class Function:
    """A Lambda function that can do everything but item "bad", and says so."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        self.calls += 1
        bodies = [record["dynamodb"] for record in event["Records"]]
        failed = [body["SequenceNumber"] for body in bodies if body["Keys"]["id"]["S"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in failed[:1]]}


def deliver(records: list[dict[str, Any]], function: Function) -> list[str]:
    """The model: one batch until nothing of it is left. Returns: what was given up. The mistake is marked."""
    batch, attempts, given_up = records, 0, []
    while batch and function.calls < PATIENCE:
        attempts += 1
        failures = function({"Records": batch}, None)["batchItemFailures"]
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        if not failures:
            return given_up
        batch = batch[numbers.index(failures[0]["itemIdentifier"]) :]
        attempts = 0  # the mistake: also when nothing of it was done
        if attempts > RETRIES:
            given_up.append(batch[0]["dynamodb"]["SequenceNumber"])
            batch, attempts = batch[1:], 0
    return given_up


def test_the_model_tries_for_ever() -> None:
    function = Function()
    records = [
        {"dynamodb": {"SequenceNumber": str(number), "Keys": {"id": {"S": item}}}}
        for number, item in enumerate(("a", "b", "bad"))
    ]
    assert deliver(records, function) == []
    assert function.calls == PATIENCE


def test_ours_gives_up_after_the_retries_that_were_asked_for() -> None:
    app, function = App("museum"), Function()
    orders = app.table("orders", pk="id")
    app.function(function, orders, id="function", FunctionResponseTypes=REPORT, MaximumRetryAttempts=RETRIES)
    with World(app, seed=1) as world:
        for item in ("a", "b", "bad"):
            world.put(orders, {"id": item})
        world.settle()
        (letter,) = world.dead_letters("function")
        assert (letter.change.key, letter.attempts) == ("bad", RETRIES + 1)
        assert function.calls <= RETRIES + 3
