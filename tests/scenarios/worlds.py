"""Scenarios of a whole app: real events, real answers, real failure documents, on the virtual clock
of a test world.

    function NAME=value ... [to=sqs|sns|s3]   a Lambda function behind a table, with AWS's settings, and its
    on-failure destination handler policy=park-key [retries=1]       a handler of single changes; park-shard,
    discard, drop: what happens after its last attempt answer [with=2] [times=1] JSON     what it returns (to
    a batch with record 2); <2> stands for the SequenceNumber of record 2 returns-nothing · returns-no-json ·
    raise · time-out · throttle   [with=2] [times=1]   the first line that concerns a batch counts
    refuse-destination times=1         AWS refuses what is sent to the destination records 1 2 3 [key=a]
    [bytes=10]   items are written; each change is a record; a record has an item of its own unless given
    advance 5s · kill                  time passes; the process is killed, and begins again heal · redrive
    what fails is mended; the dead letters are put back metrics                            what AWS's metrics
    would say of the destination

Rules of this file: a script of these instructions begins with `function` or `handler`; the trace
shows what that was told and said, every call of AWS whole, and at the end what became of each
record. Used by language.py.
"""

import json
import re
import unittest.mock
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tailrace import App, Change, Discard, Drop, Park, Retry
from tailrace.aws.errors import AwsError, verdict
from tailrace.errors import Throttled, Unavailable
from tailrace.sinks.calling import TimedOut
from tailrace.testing import World

DESTINATIONS = {
    "sqs": "arn:aws:sqs:us-east-1:000000000000:failures",
    "sns": "arn:aws:sns:us-east-1:000000000000:failures",
    "s3": "arn:aws:s3:::failures",
}
POLICIES = {"park-key": Park.key, "park-shard": Park.shard, "discard": Discard(), "drop": Drop}
SAYS = ("answer", "returns-nothing", "returns-no-json", "raise", "time-out", "throttle", "unavailable")
LISTS = ("FunctionResponseTypes",)
BEGINNINGS = ("function", "handler")
SHOWN = 400
"""How much of the event's text in an object a trace shows."""


@dataclass(slots=True)
class Said:
    """One line of what the function says."""

    verb: str
    text: str
    record: int | None
    times: int | None

    def concerns(self, batch: list[int]) -> bool:
        """Whether it is the answer to this batch; it is used up by that."""
        if self.times == 0 or (self.record is not None and self.record not in batch):
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass(slots=True)
class Stage:
    """The world, the function and the trace."""

    trace: list[str] = field(default_factory=list)
    script: list[Said] = field(default_factory=list)
    wires: dict[int, str] = field(default_factory=dict)
    accepted: list[int] = field(default_factory=list)
    refusals: int = 0
    last_call: tuple[str, dict[str, Any]] | None = None
    world: World = field(default_factory=lambda: World(seed=7, sinks="real"))
    app: App = field(default_factory=lambda: App("shop"))

    is_function: bool = True

    def say(self, text: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{self.world.clock.now().monotonic_ms / 1000:8.3f}  {text}")

    def run(self, line: str) -> None:
        """Carry out one line of a scenario."""
        verb, _, rest = line.partition(" ")
        options, words = options_of(rest)
        if verb in SAYS:
            times = int(options["times"]) if "times" in options else None
            record = int(options["with"]) if "with" in options else None
            self.script.append(Said(verb, words, record, times))
            return
        INSTRUCTIONS[verb](self, words.split(), options)

    # ---- the handler and the function ----------------------------------------------------------------------

    def invoked(self, event: dict[str, Any], context: Any) -> Any:
        """The function itself."""
        batch = [self.number(record["dynamodb"]) for record in event["Records"]]
        window = ""
        if "window" in event:
            final = " final" if event["isFinalInvokeForWindow"] else ""
            window = f"{final} window {event['window']['start'][11:19]} state {compact(event['state'])}"
        self.say(f"invoke {shown(batch)}{window} request {context.aws_request_id[:8]}")
        answer = self.answer(batch)
        if answer is None and "state" in event:
            return {"state": {"seen": event["state"].get("seen", 0) + len(batch)}}
        return answer

    def called_with(self, change: Change[Any]) -> None:
        """The handler itself."""
        number = int(change.new["n"])
        self.say(f"call {number}")
        self.answer([number])
        self.accepted.append(number)

    def answer(self, batch: list[int]) -> Any:
        """What is answered to a batch, as the script says; without a word of it,
        nothing, which is success.
        """
        said = next((line for line in self.script if line.concerns(batch)), Said("accept", "", None, None))
        match said.verb:
            case "raise":
                self.say("    raises an exception")
                raise ValueError("no such country")
            case "time-out":
                self.say("    times out")
                raise TimedOut("Task timed out after 3.00 seconds")
            case "throttle":
                self.say("    is throttled before it runs")
                raise Throttled("Rate exceeded")
            case "unavailable":
                self.say("    is not there")
                raise Unavailable("no connection")
            case "returns-no-json":
                self.say("    answers what is no JSON")
                return object()
            case "returns-nothing":
                self.say("    returns nothing")
            case "answer":
                self.say(f"    answers {said.text}")
                text = re.sub(r"<(\d+)>", lambda match: self.wires.get(int(match[1]), match[1]), said.text)
                return json.loads(text)
        return None

    def number(self, change: dict[str, Any]) -> int:
        """The number that the scenario gives a record."""
        number = int(change["NewImage"]["n"]["N"])
        self.wires[number] = change["SequenceNumber"]
        return number

    # ---- AWS -----------------------------------------------------------------------------------------------

    async def call(self, _access: object, service: str, operation: str, parameters: dict[str, Any]) -> Any:
        """In place of our client: shows each call."""
        return self.called(f"{service}.{operation}", parameters)

    def called(self, operation: str, parameters: dict[str, Any]) -> Any:
        """One call of AWS."""
        if operation == "sqs.get_queue_url":
            return {"QueueUrl": f"https://sqs.us-east-1.amazonaws.com/000000000000/{parameters['QueueName']}"}
        if (operation, parameters) == self.last_call:
            self.say(f"{operation}, the same again")
        else:
            self.say(operation)
            self.last_call = operation, parameters
            for name, value in parameters.items():
                self.show(name, value.decode() if isinstance(value, bytes) else value)
        if self.refusals:
            self.refusals -= 1
            self.say("    AWS refuses: AccessDenied")
            service, _, name = operation.partition(".")
            said = verdict("AccessDenied", "no", status=403, service=service, operation=name)
            raise AwsError(operation, said, "AccessDenied", "no", status=403)
        return {}

    def show(self, name: str, value: str) -> None:
        """One parameter; JSON member by member, as it was sent."""
        if not value.startswith("{"):
            self.trace.append(f"            {name}: {value}")
            return
        document = json.loads(value)
        assert json.dumps(document, separators=(",", ":"), ensure_ascii=False) == value, (
            "AWS writes no blanks"
        )
        if len(document.get("payload", "")) > SHOWN:
            document["payload"] = f"{document['payload'][:SHOWN]}… ({len(document['payload']):,} characters)"
        self.trace.append(f"            {name}:")
        lines = json.dumps(document, indent=2, ensure_ascii=False).splitlines()
        self.trace += [f"              {line}" for line in lines]

    # ---- instructions --------------------------------------------------------------------------------------

    def declare(self, _words: list[str], options: dict[str, str]) -> None:
        """The function and its table."""
        if "to" in options:
            options["DestinationConfig"] = DESTINATIONS[options.pop("to")]
        given = {name: setting(name, text) for name, text in options.items()}

        def legacy(event: Any, context: Any) -> Any:
            return self.invoked(event, context)

        self.app.function(legacy, self.app.table("orders", pk="id"), id="legacy", **given)
        self.world.use(self.app)

    def handle(self, _words: list[str], options: dict[str, str]) -> None:
        """The handler and its table."""
        self.is_function = False

        def legacy(change: Change[Any]) -> None:
            self.called_with(change)

        retry = Retry(int(options.get("retries", 0)))
        self.app.on(
            self.app.table("orders", pk="id"),
            retry=retry,
            on_failure=POLICIES[options["policy"]],
            id="legacy",
        )(legacy)
        self.world.use(self.app)

    def write(self, words: list[str], options: dict[str, str]) -> None:
        padding = {"padding": "x" * int(options["bytes"])} if "bytes" in options else {}
        for word in words:
            self.world.put("orders", {"id": options.get("key", word), "n": int(word), **padding})
        self.world.advance(0)

    def redrive(self, _words: list[str], _options: dict[str, str]) -> None:
        self.say("redrive")
        answer = self.app.dlq("legacy").redrive()
        self.say(
            f"    put back {answer.get('done', 0)}, overtaken {answer.get('overtaken', 0)}, failed "
            f"{answer.get('failed', 0)}"
        )

    def metrics(self, _words: list[str], _options: dict[str, str]) -> None:
        """What AWS's metrics of the mapping would say of its destination."""
        tally = self.world._running[0].worker.tallies.of("legacy")
        self.say(f"DroppedEventCount {tally.dropped}, DestinationDeliveryFailures {tally.undelivered}")

    def end(self) -> str:
        """The trace, with what became of the records."""
        letters = self.world.dead_letters("legacy")
        kept: dict[str, list[int]] = {}
        for letter in letters:
            words = (
                f"{letter.condition} after {letter.attempts} "
                f"{'attempt' if letter.attempts == 1 else 'attempts'}"
            )
            kept.setdefault(words, []).append(int(letter.change.new["n"]))
        self.say("in the end" + ("" if self.is_function else f": handled {shown(self.accepted)}"))
        self.trace += [
            f"            dead letters {shown(numbers)}: {words}" for words, numbers in kept.items()
        ]
        waiting = [letter for letter in self.app.dlq("legacy") if letter["condition"] == "KeyParked"]
        if waiting:
            self.trace.append(f"            behind them wait {len(waiting)}")
        return "\n".join(self.trace) + "\n"


def options_of(text: str) -> tuple[dict[str, str], str]:
    """Leading NAME=value words, and the rest."""
    options: dict[str, str] = {}
    while match := re.match(r"([A-Za-z]+)=(\S+) ?", text):
        options[match[1]] = match[2]
        text = text[match.end() :]
    rest = [word for word in text.split() if re.fullmatch(r"[A-Za-z]+=\S+", word)]
    for word in rest:
        name, _, value = word.partition("=")
        options[name] = value
        text = text.replace(word, "")
    return options, text.strip()


def setting(name: str, text: str) -> Any:
    """A setting as AWS has it."""
    if name == "DestinationConfig":
        return {"OnFailure": {"Destination": text}}
    if text in ("true", "false"):
        return text == "true"
    return text.split(",") if name in LISTS else int(text)


def shown(numbers: list[int]) -> str:
    """Records by their numbers."""
    return "[" + " ".join(map(str, numbers)) + "]"


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, separators=(",", ":"))


def _kill(stage: Stage, _words: list[str], _options: dict[str, str]) -> None:
    stage.say("the process is killed and begins again")
    stage.world.kill()
    stage.world.restart()


Instruction = Callable[[Stage, list[str], dict[str, str]], None]
INSTRUCTIONS: dict[str, Instruction] = {
    "function": Stage.declare,
    "handler": Stage.handle,
    "records": Stage.write,
    "advance": lambda stage, words, _options: stage.world.advance(words[0]),
    "kill": _kill,
    "redrive": Stage.redrive,
    "metrics": Stage.metrics,
    "heal": lambda stage, _words, _options: stage.script.clear(),
    "refuse-destination": lambda stage, _words, options: setattr(stage, "refusals", int(options["times"])),
}


def play(lines: list[str]) -> str:
    """The trace of a scenario."""
    stage = Stage()
    with unittest.mock.patch("tailrace.aws.client.call", stage.call), stage.world:
        for line in lines:
            stage.run(line)
        return stage.end()
