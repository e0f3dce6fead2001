"""A campaign of faults: a fleet that is disturbed while its table is written, and the checks at the end.

Theory of operation: a campaign is cut into rounds, each with servers, state and workers of its own, so that a
violation is found near the fault that caused it. In a round faults overlap: a worker that is stopped or cut
off is left so for its time while others are disturbed. Now and then faults rest until everything that was
acknowledged by then is handled and every open shard has an owner that lives: nothing is stranded. At the end
of a round the writer stops, everything settles, and what is seen from outside is judged.
Rules of this file: one seed decides the faults; to whom they are done depends on who is well then.
"""

import heapq
import itertools
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tailrace.cli.connection import ask
from tailrace.cli.place import NodeAt
from tailrace.testing.proxy import Proxy
from tests.crash.checks import read_notes
from tests.crash.progress import Progress
from tests.fleet import Fleet, fleet
from tests.fleets.checks import MAPPINGS, Repeats, violations
from tests.fleets.members import Member
from tests.fleets.observed import FleetSeen, checkpoints_of, handled_of, leases_of, projected_of, read_ledger
from tests.fleets.places import Place, Places, places
from tests.fleets.plan import FIRST, MOST, Fault, plan
from tests.fleets.relay import Relays
from tests.patience import PATIENCE_S, at_rest, eventually

ROOT: Final = Path(__file__).parents[2]
SHARDS: Final = 16
FAULTS_A_ROUND: Final = 48
FAULTS_A_REST: Final = 24
MOST_SPLITS: Final = 6
"""In a round: a shard more is a shard more to read for everybody until its end."""
ASIDE: Final = ("deadletter", "parked", "head", "gap", "evacuated", "passed")
LOOK_S: Final = 0.05
MAPPING_COUNT: Final = len(MAPPINGS)


@dataclass(slots=True)
class Report:
    """What a campaign did and what came of it. Shape: `most_repeated` by one hand-over. Units: seconds from
    the end of the last fault until everything was handled and every open shard had an owner.
    """

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    splits: int = 0
    workers: int = 0
    acknowledged_writes: int = 0
    deliveries: int = 0
    epochs: int = 0
    repeated: int = 0
    most_repeated: int = 0
    after_the_next_owner: int = 0
    longest_rest_s: float = 0.0
    violations: list[str] = field(default_factory=list)


def run(
    seed: int,
    faults: int,
    kind: str,
    tell: Callable[[str], None],
    resume: Path | None = None,
    shards: int = SHARDS,
) -> Report:
    """Run a whole campaign in rounds, with state in a place of a kind, and so many shards at first. `resume`
    names a file that keeps the rounds of an interrupted one.
    """
    report, progress = Report(seed), Progress(resume)
    progress.into(report)
    planned = list(plan(seed, faults))
    with places(kind) as make_place:
        for start in range(report.faults.total(), len(planned), FAULTS_A_ROUND):
            with tempfile.TemporaryDirectory(prefix="tailrace-fleet-") as directory:
                part = planned[start : start + FAULTS_A_ROUND]
                run_round(Path(directory), make_place, part, report, tell, shards)
            if report.violations:
                break
            progress.keep(report)
    progress.forget()
    return report


def run_round(
    directory: Path,
    make_place: Places,
    planned: list[Fault],
    report: Report,
    tell: Callable[[str], None],
    shards: int,
) -> None:
    """Disturb one fleet, then let it settle and check everything."""
    serve = ("--memory", "--shards", str(shards))
    with fleet(directory, *serve) as ground, ground_of(ground, make_place) as disturbed:
        with writing(disturbed):
            for number, fault in enumerate(planned, 1):
                disturbed.disturb(fault)
                report.faults[fault.kind] += 1
                tell(f"{report.faults.total()} faults, last: {fault}")
                if number % FAULTS_A_REST == 0:
                    disturbed.rest()
        disturbed.rest()
        disturbed.settle()
        seen = disturbed.see()
    wrong = violations(seen)
    if wrong:
        wrong += [disturbed.story(), *Repeats(seen).stories()]
    report.violations += wrong
    report.longest_rest_s = max(report.longest_rest_s, disturbed.longest_rest_s)
    report.splits += disturbed.splits
    report.workers += len(seen.names)
    report.acknowledged_writes += sum(seen.acknowledged.values())
    report.deliveries += len(seen.deliveries)
    report.epochs += len({(lease.shard, lease.epoch) for lease in seen.leases})
    repeats = Repeats(seen)
    report.repeated += sum(map(len, repeats.taken_over.values()))
    report.most_repeated = max(report.most_repeated, repeats.most)
    report.after_the_next_owner += sum(map(len, repeats.afterwards.values()))


@contextmanager
def ground_of(ground: Fleet, make_place: Places) -> "Iterator[Disturbed]":
    """A fleet at work, until the block ends."""
    for table in ("effects", "tallies"):
        create_table(ground, table, stream=False)
    create_table(ground, "counters", stream=True)
    code, _, said = ground.run("state", "create", "dynamodb:marks", "--endpoint", ground.endpoint)
    assert code == 0, said
    with ExitStack() as stack:
        relays = stack.enter_context(Relays())
        disturbed = Disturbed(ground, make_place(ground), relays, stack)
        try:
            disturbed.begin()
            yield disturbed
        finally:
            disturbed.end()


def create_table(ground: Fleet, name: str, *, stream: bool) -> None:
    """A table of the app's."""
    members: dict[str, Any] = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if stream:
        members["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    ground.call("CreateTable", members)


@contextmanager
def writing(disturbed: "Disturbed") -> Iterator[None]:
    """The writer, until the block ends."""
    arguments = [str(disturbed.path / name) for name in ("port", "notes", "stop")]
    (disturbed.path / "port").write_text(str(disturbed.ground.port))
    command = [sys.executable, "-m", "tests.fleets.writer", *arguments]
    writer = subprocess.Popen(command, cwd=ROOT)
    try:
        eventually(lambda: sum(disturbed.acknowledged().values()))
        yield
    finally:
        (disturbed.path / "stop").touch()
        writer.wait(PATIENCE_S)


class Disturbed:
    """A fleet and who disturbs it. Shape: `splits` so far. Units: `longest_rest_s` as in a report."""

    def __init__(self, ground: Fleet, place: Place, relays: Relays, stack: ExitStack) -> None:
        self.ground = ground
        self.path = ground.path
        self.splits = 0
        self.longest_rest_s = 0.0
        self._place = place
        self._members: list[Member] = []
        self._ends: list[tuple[float, int, Member]] = []
        self._count = itertools.count()
        self._told: list[str] = []
        self._stranded: list[str] = []
        self._begun = time.monotonic()
        for number in range(MOST):
            proxy = stack.enter_context(Proxy(ground.endpoint))
            relay, options = place.way(relays, number)
            self._members.append(Member(number, self.path, proxy, relay, options))

    def begin(self) -> None:
        """Start the first workers."""
        for member in self._members[:FIRST]:
            member.start()
        self._until(
            lambda: all(member.is_well for member in self._members[:FIRST]), "the first workers begin"
        )

    def end(self) -> None:
        """Kill what is left."""
        for member in self._members:
            member.end()

    def story(self) -> str:
        """What was done when, and what the workers said last."""
        logs = [incarnation.tail() for member in self._members for incarnation in member.incarnations[-2:]]
        return "\n".join(["the faults:", *self._told, *logs])

    def _tell(self, text: str) -> None:
        self._told.append(f"{time.monotonic() - self._begun:8.3f} {text}")

    # ---- faults --------------------------------------------------------------------------------------------

    def disturb(self, fault: Fault) -> None:
        """Do one fault, when its time has come and a worker is there for it."""
        until = time.monotonic() + fault.before_s
        self._until(lambda: time.monotonic() >= until, "time passes")
        member = self._chosen(fault)
        self._tell(f"{member}: {fault}")
        match fault.kind:
            case "kill":
                member.kill()
                member.start()
            case "stop":
                member.stop()
            case "cut off from tables":
                member.cut_off_from_tables(fault.way)
            case "cut off from state":
                member.cut_off_from_state(fault.way)  # type: ignore[arg-type]
            case "add":
                member.start()
            case "remove":
                member.leave()
        if fault.lasts_s:
            heapq.heappush(self._ends, (time.monotonic() + fault.lasts_s, next(self._count), member))
        if fault.splits and self.splits < MOST_SPLITS:
            self._split(fault.choice)

    def _chosen(self, fault: Fault) -> Member:
        """To whom it is done: a worker that is well, where another one is; to add one, a free place."""

        def choices() -> list[Member]:
            if fault.kind == "add":
                return [member for member in self._members if not member.is_there]
            well = [member for member in self._members if member.is_well]
            return well if len(well) > 1 else []

        self._until(lambda: bool(choices()), f"a worker is there for: {fault}")
        members = choices()
        return members[int(fault.choice * len(members))]

    def _split(self, choice: float) -> None:
        open_shards = [shard["shard"] for shard in self._shards() if not shard["closed"]]
        shard = open_shards[int(choice * len(open_shards))]
        self._tell(f"{shard} splits")
        ask(self._node, "shards.split", {"table": "counters", "shard": shard})
        self.splits += 1

    @property
    def _node(self) -> NodeAt:
        return NodeAt(self.ground.endpoint, self.ground.port)

    def _shards(self) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = ask(self._node, "shards.ls", {"table": "counters"})["shards"]
        return shards

    def _until(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait, and end meanwhile what has lasted long enough. Raises: AssertionError."""
        begun = time.monotonic()
        while not is_so():
            now = time.monotonic()
            while self._ends and self._ends[0][0] <= now:
                self._mend(heapq.heappop(self._ends)[2])
            assert now - begun < PATIENCE_S, f"not within {PATIENCE_S} s: {what}\n{self.story()}"
            time.sleep(LOOK_S)

    def _mend(self, member: Member) -> None:
        if member.is_stopped:
            member.go_on()
        if member.is_cut:
            member.heal()
        self._tell(f"{member}: goes on")

    # ---- rest ----------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """No faults, until everybody is well, and everything that was acknowledged by then is handled."""
        self._until(lambda: not self._ends and all(map(_is_at_rest, self._members)), "everybody is well")
        wanted, begun = self.acknowledged(), time.monotonic()
        self._tell("faults rest")

        def missing() -> list[str]:
            return [*self._missing(wanted), *self._without_owner()]

        self._stranded += at_rest(missing, lambda lacking: not lacking)[:5]
        took_s = round(time.monotonic() - begun, 1)
        self._tell(f"everything is handled after {took_s} s")
        self.longest_rest_s = max(self.longest_rest_s, took_s)

    def _missing(self, wanted: dict[str, int]) -> list[str]:
        ledger = Counter[str]()
        for delivery in read_ledger(self._ledger()):
            ledger[delivery.counter] = max(ledger[delivery.counter], delivery.value)
        effects = {counter: max(values) for counter, values in self._effects().items()}
        return [
            f"{counter} {value}: seen up to {effects.get(counter, 0)} by note, {ledger[counter]} by ledger"
            for counter, value in wanted.items()
            if min(effects.get(counter, 0), ledger[counter]) < value
        ]

    def _without_owner(self) -> list[str]:
        """Open shards whose leases name nobody who lives."""
        live = self._names_of_the_living()
        owners = {
            key.rpartition("/")[2]: fields["owner"] for key, fields in self._place.rows("lease").items()
        }
        return [
            f"open shard {shard['shard']} is held by {owners.get(shard['shard']) or 'no worker'}"
            for shard in self._shards()
            if not shard["closed"] and owners.get(shard["shard"]) not in live
        ]

    def settle(self) -> None:
        """Wait, after the last write, until every effect is there, closed shards are finished, and nothing
        moves any more.
        """
        closed = {shard["shard"] for shard in self._shards() if shard["closed"]}

        def unsettled() -> int:
            checkpoints = self._place.rows("checkpoint")
            finished = sum(
                fields["finished"] for key, fields in checkpoints.items() if key.rpartition("/")[2] in closed
            )
            handled = sum(handled_of(checkpoints).values())
            writes = sum(self._values().values())
            held = [
                key
                for key, fields in self._place.rows("lease").items()
                if fields["owner"] and key.rpartition("/")[2] in closed
            ]
            missing = (MAPPING_COUNT * writes - handled) + (MAPPING_COUNT * len(closed) - finished)
            return missing + len(held)

        at_rest(unsettled, lambda left: left == 0)

    # ---- looking -------------------------------------------------------------------------------------------

    def acknowledged(self) -> dict[str, int]:
        """What the writer was told is written."""
        notes = self.path / "notes"
        if not notes.exists():
            return {}
        with notes.open() as lines:
            return read_notes(lines)[1]

    def see(self) -> FleetSeen:
        """Everything, from outside."""
        with (self.path / "notes").open() as lines:
            sent, acknowledged = read_notes(lines)
        history = self._place.history()
        return FleetSeen(
            sent=sent,
            acknowledged=acknowledged,
            items=self._values(),
            records=self._records(),
            effects=self._effects(),
            tallies={
                item["id"]["S"]: (int(item["changes"]["N"]), int(item["advance"]["N"]))
                for item in self._scan("tallies")
            },
            projected=projected_of(self._place.rows("projection-group")),
            deliveries=read_ledger(self._ledger()),
            names={
                incarnation.process.pid: announced["worker"]
                for member in self._members
                for incarnation in member.incarnations
                if (announced := incarnation.announced) is not None
            },
            leases=leases_of(history),
            checkpoints=checkpoints_of(history),
            handled=handled_of(self._place.rows("checkpoint")),
            kept_aside=[key for kind in ASIDE for key in self._place.rows(kind)],
            shards={shard["shard"]: shard["closed"] for shard in self._shards()},
            live=frozenset(self._names_of_the_living()),
            stranded=self._stranded,
            ends=[text for member in self._members for text in member.ended_badly()],
        )

    def _names_of_the_living(self) -> set[str]:
        announced = [member.incarnations[-1].announced for member in self._members if member.is_there]
        return {said["worker"] for said in announced if said is not None}

    def _ledger(self) -> list[str]:
        ledger = self.path / "ledger"
        return ledger.read_text().splitlines(keepends=True) if ledger.exists() else []

    def _scan(self, table: str) -> list[dict[str, Any]]:
        page = self.ground.call("Scan", {"TableName": table, "ConsistentRead": True})
        assert "LastEvaluatedKey" not in page
        items: list[dict[str, Any]] = page["Items"]
        return items

    def _values(self) -> dict[str, int]:
        return {item["id"]["S"]: int(item["n"]["N"]) for item in self._scan("counters")}

    def _effects(self) -> dict[str, list[int]]:
        return {
            item["id"]["S"]: [int(value["N"]) for value in item["seen"]["L"]]
            for item in self._scan("effects")
        }

    def _records(self) -> dict[str, list[int]]:
        """The stream of the counters, parents first."""
        streams = "DynamoDBStreams_20120810"
        arn = self.ground.call("DescribeTable", {"TableName": "counters"})["Table"]["LatestStreamArn"]
        records: dict[str, list[int]] = {}
        for shard in self._shards():
            begin = {"StreamArn": arn, "ShardId": shard["shard"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = self.ground.call("GetShardIterator", begin, service=streams)["ShardIterator"]
            while iterator:
                page = self.ground.call("GetRecords", {"ShardIterator": iterator}, service=streams)
                for record in page["Records"]:
                    image = record["dynamodb"]["NewImage"]
                    records.setdefault(image["id"]["S"], []).append(int(image["n"]["N"]))
                iterator = page.get("NextShardIterator") if page["Records"] else None
        return records


def _is_at_rest(member: Member) -> bool:
    return member.is_well or not member.is_there
