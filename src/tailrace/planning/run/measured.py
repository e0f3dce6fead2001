"""How long a handler's calls were, as a node or a worker tells it at its /metrics.

Rules of this file: an exposition of Prometheus in, service times out; it asks nobody. Stands alone because
only a plan reads it, and only where it was told where to look.
"""

from collections.abc import Sequence
from math import isinf

from msgspec import Struct, field

from tailrace.planning.core.durations import ServiceTimes, Unit, constant, of_histogram

SECONDS, EVENTS = "tailrace_handler_seconds", "tailrace_invoked_events_total"


class MeasuredCalls(Struct):
    """Calls of one handler. Shape: `counts` by the upper bound of their bucket, in milliseconds; `beyond`
    those above the last. Units: total_us of all of them.
    """

    calls: int = 0
    changes: int = 0
    total_us: int = 0
    beyond: int = 0
    counts: dict[int, int] = field(default_factory=dict)


def read_calls_of(handler: str, expositions: Sequence[str]) -> MeasuredCalls:
    """The calls of a handler that these tell, added. Raises: ValueError for what is no exposition."""
    from prometheus_client.parser import text_string_to_metric_families

    measured = MeasuredCalls()
    for text in expositions:
        cumulative: dict[float, int] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("handler") != handler:
                    continue
                if sample.name == f"{SECONDS}_bucket":
                    cumulative[float(sample.labels["le"])] = int(sample.value)
                elif sample.name == f"{SECONDS}_sum":
                    measured.total_us += round(sample.value * 1_000_000)
                elif sample.name == EVENTS:
                    measured.changes += int(sample.value)
        below = 0
        for bound in sorted(cumulative):
            count, below = cumulative[bound] - below, cumulative[bound]
            measured.calls += count
            if isinf(bound):
                measured.beyond += count
            else:
                milliseconds = round(bound * 1_000)
                measured.counts[milliseconds] = measured.counts.get(milliseconds, 0) + count
    return measured


def service_of(measured: MeasuredCalls, unit: Unit, seed: int) -> ServiceTimes | None:
    """Service times as they were measured; None: nothing was. Shape: where a handler is called for one change
    after the other only whole batches are timed, so each change takes the mean.
    """
    if not measured.calls or not measured.counts or (unit == "change" and not measured.changes):
        return None
    if unit == "change":
        mean_us = round(measured.total_us / measured.changes)
        return ServiceTimes(None, constant(f"measured {mean_us / 1_000:.3g}ms", mean_us), seed)
    mean_us = round(measured.total_us / measured.calls)
    text = f"measured {mean_us / 1_000:.3g}ms"
    return ServiceTimes(of_histogram(text, measured.counts, measured.beyond, measured.total_us), None, seed)
