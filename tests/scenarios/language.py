"""The language of the scenario files: one instruction a line, played against the real machine
with a scripted sink.

    settings [lambda] NAME=VALUE ...   the mapping's settings; `lambda`: AWS's defaults, AWS's names allowed
    records 1 2 3 [key=a] [partition=0] [ago=3s]   written now (or that long ago); a record's key is its own
    unless given start · stop · pause · resume · lose-lease · close   unasked inputs; close: the shard gets no
    further record trim 7                             records up to 7 are gone from the stream crash
    [hold=invokes]               forget the machine, start a new one from the last saved checkpoint fail 2
    [times=3]                   a batch with record 2 raises        | timeout 2: it times out partial 2
    [times=3]                ReportBatchItemFailures names 2     | refuse 2 4: exactly these are refused
    refuse-for-good 2 [times=3]        exactly these are refused, and would be whenever they came throttle |
    unavailable [times=3] [after=500]   the sink refuses every batch; `after`: it asks for that many ms
    fail-final [times=1]               the final invoke of a tumbling window raises stateless 2 [times=1]
    a batch with record 2 is answered without a state  | grow 2: with a state of more than 1 MB heal
    forget all failures of the sink fail-reads times=2 · fail-checkpoints times=2 · fail-parks times=2 hold
    invokes|checkpoints|parks · release [invokes|checkpoints|parks] [3]   answers wait · only that of the
    batch with record 3 redrive a [untold]                 put the parked changes of key `a` back, oldest
    first; `untold`: the machine does not hear of it late-redriven a 1                  it hears now that `a`
    was unparked at record 1
    records 1 [of=a] · redrive [of=a]              item 1 of the partition a; all of that partition
    advance 5s | 300ms                 time passes; the machine is woken when it
    asked for it status                             what a person would see

What is done with a command of the machine is the runtime's: its steps are performed here at once, over rows.
Rules of this file: the trace shows effects only (invokes, answers, checkpoints, waiting), each with its time
in seconds. In a tumbling window the scripted function keeps the records it accepted as its state
(windows.py). A script that begins with `function` or `handler` is of the other language (worlds.py), which
plays a whole app.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailrace.deadletters.core.entry import DeadLetter
from tailrace.deadletters.core.redriving import Claimant, Deliver, Ended, Refusal, put_back_key
from tailrace.errors import PortError, SourceError, StateConflict, StoreError
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.batch import RETENTION_MS
from tailrace.mapping.commands import (
    Command,
    Completion,
    Invoke,
    LeaseTaken,
    ParkDone,
    ParkKey,
    Pause,
    Read,
    Redriven,
    Resume,
    SaveCheckpoint,
    Start,
    Stop,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Outcome, Written
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Shard
from tailrace.rows.kinds import LEASE
from tailrace.runtime.delivering import Asked, Delivery, MappingShard, Settling
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.starting import enter, load_start, take_lease
from tailrace.runtime.steps import Call, ReadShard, Steps, Transact, WriteBatch
from tailrace.streams.moment import Now
from tailrace.streams.record import (
    MILLISECOND,
    ChangeRecord,
    ReadDone,
)
from tailrace.streams.version import Version
from tailrace.testing.simulation_plan import MAPPING
from tailrace.testing.simulation_rows import APP, STREAM, SimulatedRows
from tailrace.values.canonical import terminated
from tests.scenarios import windows, worlds
from tests.scenarios.scripted_sink import FAULTS, Fault, describe

WALL_MS = 1_000_000_000


@dataclass(slots=True)
class World:
    """Everything around the machine, and the trace."""

    settings: MappingSettings = field(default_factory=lambda: MappingSettings("scenario"))
    trace: list[str] = field(default_factory=list)
    time_ms: int = 0
    log: list[ChangeRecord] = field(default_factory=list)
    closed: bool = False
    trimmed: int = 0
    rows: SimulatedRows = field(default_factory=SimulatedRows)
    faults: list[Fault] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    held: dict[str, list[Command]] = field(default_factory=dict)
    queue: deque[Completion] = field(default_factory=deque)
    reading: tuple[Steps[Sequence[Completion]], ReadShard] | None = None
    wake_ms: int | None = None
    machine: ShardMachine | None = None
    delivery: Delivery | None = None

    def say(self, text: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{self.time_ms / 1000:8.3f}  {text}")

    def run(self, line: str) -> None:
        """Carry out one line of a scenario."""
        verb, *words = line.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        if verb in FAULTS:
            times = int(options["times"]) if "times" in options else None
            after_ms = int(options.get("after", 0))
            self.faults.append(Fault(verb, frozenset(int(name) for name in names), times, after_ms))
            return
        INSTRUCTIONS[verb](self, names, options)
        self.settle()

    def settle(self) -> None:
        """Let the machine and the world answer each other until nothing happens any more."""
        while True:
            self.answer_read()
            if not self.queue or self.machine is None:
                return
            for command in self.machine.step(self.queue.popleft(), self.now):
                self.carry_out(command)

    @property
    def now(self) -> Now:
        """The present; the wall clock began long ago."""
        return Now(WALL_MS + self.time_ms, self.time_ms)

    def answer_read(self) -> None:
        if self.reading is None:
            return
        steps, read = self.reading
        answer: ReadDone | SourceError | None = SourceError("the source failed")
        if self.failing.get("reads", 0) > 0:
            self.failing["reads"] -= 1
            self.say("the read fails")
        else:
            answer = self.page(read)
        if answer is not None:
            self.reading = None
            self.perform(steps, answer)

    def page(self, read: ReadShard) -> ReadDone | None:
        """What the stream has after a position; None: nothing yet."""
        unread = [record for record in self.log if record.sequence > read.after]
        there = [record for record in unread if record.sequence > self.trimmed]
        page = there[: read.limit]
        if not (page or self.closed):
            return None
        gone = max((record.sequence for record in unread if record.sequence <= self.trimmed), default=0)
        after = page[-1].sequence if page else max(read.after, gone)
        is_end = self.closed and len(page) == len(there)
        return ReadDone(page, after, closed=is_end, trimmed=len(there) < len(unread))

    def perform(
        self, steps: Steps[Sequence[Completion]], answer: Any, command: Command | None = None
    ) -> None:
        """Carry the runtime's steps for a command out, from this answer on; a read waits for its records."""
        while True:
            try:
                call = steps.throw(answer) if isinstance(answer, PortError) else steps.send(answer)
            except StopIteration as end:
                for completion in end.value:
                    if isinstance(completion, ParkDone) and completion.is_free:
                        self.say("    it is free meanwhile")
                    self.queue.append(completion)
                return
            if isinstance(call, ReadShard):
                self.reading = (steps, call)
                return
            answer = self.say_to(call, command)

    def say_to(self, call: Call, command: Command | None) -> Any:
        """What a port says, or raises."""
        match call, command:
            case WriteBatch(), Invoke():
                return self.outcome(command)
            case Transact(), ParkKey() if self.fails("parks", "parking"):
                return StoreError("the parking fails")
            case Transact(), SaveCheckpoint() if self.fails("checkpoints", "checkpoint"):
                return StoreError("the checkpoint fails")
            case _:
                try:
                    return self.rows.answer(call, self.now)
                except StateConflict as conflict:
                    return conflict

    def fails(self, port: str, what: str) -> bool:
        """Whether the script has the next one of these fail."""
        if self.failing.get(port, 0) <= 0:
            return False
        self.failing[port] -= 1
        self.say(f"    the {what} fails")
        return True

    def carry_out(self, command: Command) -> None:
        """What the driver would do."""
        match command:
            case Read():
                self.answer(command)
            case Wake(at_ms):
                self.wake_ms = at_ms
                self.say(f"    waits until {at_ms / 1000:.3f}")
            case Stopped(finished):
                self.say("stopped, the shard is finished" if finished else "stopped")
            case Invoke() | SaveCheckpoint() | ParkKey():
                self.show(command)
                kind = KINDS[type(command)]
                if kind in self.held:
                    self.held[kind].append(command)
                else:
                    self.answer(command)

    def show(self, command: Invoke | SaveCheckpoint | ParkKey) -> None:
        if isinstance(command, ParkKey):
            failed = [entry for entry in command.entries if entry.condition != "KeyParked"]
            why = f" after {failed[0].attempts} attempts" if failed else ""
            self.say(f"park {numbers([entry.record for entry in command.entries])}{why}")
            return
        if isinstance(command, Invoke):
            lane = f" lane {command.lane}" if self.settings.parallelization_factor > 1 else ""
            inside = "" if command.window is None else windows.told(command.window, WALL_MS)
            self.say(
                f"invoke {numbers(command.records)}{lane}{inside} request {command.request} attempt "
                f"{command.attempt}"
            )
            return
        at = command.checkpoint
        above = "".join(f" and {first}-{last}" for first, last in at.ranges)
        inside = "" if at.window is None else windows.kept(at.window, WALL_MS)
        self.say(f"checkpoint {at.watermark}{above}{inside}{' finished' if at.finished else ''}")
        for span in command.settled:
            if span.outcome != "handled":
                self.say(f"    {span.outcome} {span.first}-{span.last} ({span.count})")
        for entry in command.given_up:
            self.say(
                f"    dead letter {entry.record.sequence}: {entry.condition} after {entry.attempts} attempts"
            )

        for lost in command.windows:
            self.say(
                f"    given up{windows.told(lost.window, WALL_MS)}: {lost.condition} after "
                f"{lost.attempts} attempts"
            )

    def outcome(self, command: Invoke) -> Outcome:
        """What the script has the sink say."""
        batch = [record.sequence for record in command.records]
        outcomes = (fault.outcome(batch) for fault in self.faults)
        outcome = next((planned for planned in outcomes if planned is not None), Written())
        if outcome != Written():
            self.say(f"    {describe(outcome, batch)}")
        if command.window is not None:
            grows = any(fault.concerns("grow", batch) for fault in self.faults)
            if any(fault.concerns("stateless", batch) for fault in self.faults):
                self.say("    answers without a state")
            else:
                outcome = windows.with_state(outcome, command.window, batch, grows=grows)
        return outcome

    def answer(self, command: Asked) -> None:
        """Do what the machine asks for."""
        assert self.delivery is not None
        self.perform(self.delivery.steps(command), None, command)

    # ---- instructions --------------------------------------------------------------------------------------

    def write(self, names: list[str], options: dict[str, str]) -> None:
        for name in names:
            number = int(name)
            key = options.get("key", name)
            partition = int(options.get("partition", number))
            created_ms = self.now.wall_ms - milliseconds(options.get("ago", "0ms"))
            self.log.append(
                ChangeRecord(
                    sequence=number,
                    shard=1,
                    event_name="MODIFY",
                    created_us=created_ms * MILLISECOND,
                    size_bytes=100,
                    partition=partition,
                    key=key_of(key, options.get("of")),
                    keys=b"{}",
                    new=b"x" * int(options.get("bytes", 10)),
                )
            )
        self.log.sort(key=lambda record: record.sequence)

    def start(self, _names: list[str], _options: dict[str, str]) -> None:
        shard = Shard("shard", 1, stream=STREAM.label, before=0)
        place = MappingShard(APP, MAPPING, STREAM.table, STREAM.label, shard.shard_id)

        def begin() -> Steps[tuple[Settling, Start]]:
            lease, stamped = yield from take_lease(
                LEASE.key(APP, STREAM.label, shard.shard_id), "worker", [place]
            )
            row = stamped.get(place.checkpoint_key)
            begun = yield from enter(place, shard, KnownShards(), lease.epoch, RETENTION_MS, row)
            return Settling(place, begun), (yield from load_start(place, shard, begun))

        settling, start = self.rows.perform(begin(), self.now, self.trimmed)
        self.machine = ShardMachine(self.settings)
        self.delivery = Delivery(shard, STREAM, SavedChanges(), settling)
        self.queue.append(start)

    def redrive(self, names: list[str], options: dict[str, str]) -> None:
        key = key_of(names[0] if names else "", options.get("of"))
        steps, answer = (
            put_back_key(APP, key, Claimant("redrive", "", lambda _: False), lambda: self.now.wall_ms),
            None,
        )
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                ended: Ended = end.value
                break
            answer = (
                self.delivered(step.letter)
                if isinstance(step, Deliver)
                else self.rows.put_back(MAPPING, step)
            )
        if ended.how == "done":
            self.say(f"unparked {names[0] if names else options['of']}")
            if "untold" not in names:
                self.queue.append(Redriven(key, ended.tail, ended.passed))

    def delivered(self, letter: DeadLetter) -> Refusal | None:
        """What the script has the sink say to a change that is put back."""
        sequence = letter.record.sequence
        outcome = next(
            (planned for fault in self.faults if (planned := fault.outcome([sequence]))), Written()
        )
        said = "" if outcome == Written() else f": {describe(outcome, [sequence])}"
        self.say(f"redrive {sequence}{said}")
        return None if outcome == Written() else Refusal("refused")

    def crash(self, names: list[str], options: dict[str, str]) -> None:
        self.say("crash")
        self.queue.clear()
        self.reading = self.wake_ms = None
        self.held = {options["hold"]: []} if "hold" in options else {}
        self.start(names, options)

    def advance(self, names: list[str], _options: dict[str, str]) -> None:
        end = self.time_ms + milliseconds(names[0])
        while self.wake_ms is not None and self.wake_ms <= end:
            self.time_ms, self.wake_ms = self.wake_ms, None
            self.queue.append(Woken())
            self.settle()
        self.time_ms = end

    def release(self, names: list[str], _options: dict[str, str]) -> None:
        kind, wanted = names[0], [int(name) for name in names[1:]]
        held = self.held.pop(kind)
        for command in held:
            if wanted and isinstance(command, Invoke) and command.records[0].sequence not in wanted:
                self.held.setdefault(kind, []).append(command)
            else:
                self.answer(command)
        if wanted:
            self.held.setdefault(kind, [])

    def status(self, _names: list[str], _options: dict[str, str]) -> None:
        machine = self.machine
        assert machine is not None
        aside = f", {machine.retrying_keys} keys aside" if machine.retrying_keys else ""
        aside += f", {machine.parked_keys} keys parked" if machine.parked_keys else ""
        self.say(f"status: {machine.unsettled} unsettled{aside}; {machine.blocked or 'not blocked'}")


KINDS = {Invoke: "invokes", SaveCheckpoint: "checkpoints", ParkKey: "parks"}
Instruction = Callable[[World, list[str], dict[str, str]], None]


def _input(completion: Completion, text: str) -> Instruction:
    def give(world: World, _names: list[str], _options: dict[str, str]) -> None:
        world.say(text)
        world.queue.append(completion)

    return give


def _set(name: str, value: Callable[[World, list[str], dict[str, str]], Any]) -> Instruction:
    return lambda world, names, options: setattr(world, name, value(world, names, options))


def _will_fail(what: str) -> Instruction:
    return lambda world, _names, options: world.failing.update({what: int(options["times"])})


INSTRUCTIONS: dict[str, Instruction] = {
    "settings": _set("settings", lambda _world, names, options: settings(names, options)),
    "records": World.write,
    "start": World.start,
    "crash": World.crash,
    "stop": _input(Stop(), "stop"),
    "pause": _input(Pause(), "pause"),
    "resume": _input(Resume(), "resume"),
    "lose-lease": _input(LeaseTaken(), "the lease is lost"),
    "close": _set("closed", lambda _world, _names, _options: True),
    "trim": _set("trimmed", lambda _world, names, _options: int(names[0])),
    "heal": lambda world, _names, _options: world.faults.clear(),
    "hold": lambda world, names, _options: world.held.update({names[0]: []}),
    "release": World.release,
    "fail-reads": _will_fail("reads"),
    "fail-checkpoints": _will_fail("checkpoints"),
    "fail-parks": _will_fail("parks"),
    "redrive": World.redrive,
    "advance": World.advance,
    "late-redriven": lambda world, names, _options: world.queue.append(
        Redriven(names[0].encode(), Version(1, int(names[1])))
    ),
    "status": World.status,
}


def settings(names: list[str], options: dict[str, str]) -> MappingSettings:
    """Settings as a file writes them: numbers, true/false, backoff=BASE,FACTOR,CAP, breaker=none,
    accepts=not:1,2.
    """
    values = dict(_values(options))
    return (
        MappingSettings.for_lambda("scenario", **values) if names else MappingSettings("scenario", **values)
    )


def _values(options: dict[str, str]) -> Iterator[tuple[str, Any]]:
    for name, text in options.items():
        words = text.split(",")
        if name == "backoff":
            yield name, Backoff(int(words[0]), float(words[1]), int(words[2]))
        elif name == "breaker":
            assert text == "none"
            yield name, None
        elif name == "refuses":
            refused = frozenset(int(word) for word in words)
            yield "accepts", lambda record, refused=refused: record.sequence not in refused
        elif text in ("true", "false"):
            yield name, text == "true"
        elif name == "FunctionResponseTypes":
            yield name, words
        else:
            yield name, int(text) if text.lstrip("-").isdigit() else text


def numbers(records: Any) -> str:
    """Records by their sequence numbers."""
    return "[" + " ".join(str(record.sequence) for record in records) + "]"


def milliseconds(text: str) -> int:
    """5s, 300ms, 2m."""
    for suffix, factor in (("ms", 1), ("s", 1_000), ("m", 60_000)):
        if text.endswith(suffix):
            return int(float(text.removesuffix(suffix)) * factor)
    raise ValueError(f"{text}: a duration ends with ms, s or m")


def play(script: str) -> str:
    """The trace of a scenario."""
    lines = [told for line in script.splitlines() if (told := line.split("#")[0].strip())]
    if lines[0].split()[0] in worlds.BEGINNINGS:
        return worlds.play(lines)
    world = World()
    for line in lines:
        world.run(line)
    return "\n".join(world.trace) + "\n"


def key_of(name: str, partition: str | None) -> bytes:
    """The bytes of a key: a name alone, or one in a partition, laid out as a table's; "": the partition's."""
    if partition is None:
        return name.encode()
    return bytes(8) + terminated(partition.encode()) + name.encode()
