"""The sink of a scenario: what a script wants it to say, line by line.

Rules of this file: a fault says what it does to one batch, and is used up by that. Called by language.py.
"""

from dataclasses import dataclass

from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, FailureKind, Outcome, Written

SPOILING = ("stateless", "grow")
FAULTS = (
    "fail",
    "timeout",
    "partial",
    "refuse",
    "refuse-for-good",
    "throttle",
    "unavailable",
    "fail-final",
    *SPOILING,
)


@dataclass(slots=True)
class Fault:
    """One line of the sink's script."""

    verb: str
    records: frozenset[int]
    times: int | None
    after_ms: int

    def outcome(self, batch: list[int]) -> Outcome | None:
        """What the sink answers because of this fault; None: it does not concern the batch."""
        hit = [index for index, number in enumerate(batch) if number in self.records]
        if self.verb in SPOILING or self.times == 0 or (self.records and not hit):
            return None
        if self.verb == "fail-final" and batch:
            return None
        self.times = None if self.times is None else self.times - 1
        match self.verb:
            case "partial":
                return FailedFrom(hit[0], Failure(error="partial"))
            case "refuse":
                return Failed({index: Failure(error="refused") for index in hit})
            case "refuse-for-good":
                return Failed({index: Failure(error="refused", final=True) for index in hit})
            case verb:
                kinds = {"fail": "RECORD", "fail-final": "RECORD", "throttle": "THROTTLED"}
                kind = FailureKind[kinds.get(verb, verb.upper())]
                return Failed(whole=Failure(kind, verb, retry_after_ms=self.after_ms))

    def concerns(self, verb: str, batch: list[int]) -> bool:
        """Whether this fault, of that verb, spoils the state of this batch; it is used up by that."""
        if self.verb != verb or self.times == 0 or not self.records.intersection(batch):
            return False
        self.times = None if self.times is None else self.times - 1
        return True


def describe(outcome: Outcome, batch: list[int]) -> str:
    """An answer of the sink, in words."""
    match outcome:
        case FailedFrom(index, _):
            return f"fails from {batch[index]}"
        case Failed(failures, None):
            return "refuses " + " ".join(str(batch[index]) for index in failures)
        case Failed(_, whole):
            assert whole is not None
            return {"RECORD": "fails", "TIMEOUT": "times out"}.get(whole.kind.value, whole.kind.value.lower())
        case Written():
            return "accepted"
