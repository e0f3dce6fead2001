"""What workers say of their calls at their /metrics: for `tailrace top` and `tailrace plan`.

Rules of this file: plain blocking requests, a second each; of several workers one that does not answer is
counted and left out. Called by top.py and plan.py.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from msgspec import Struct, field

CALLS: Final = "tailrace_source_calls_total"
STREAMS: Final = "dynamodbstreams"
PATIENCE_S: Final = 1.0


class WorkerMetrics(Struct):
    """What was scraped. Shape: `asked` workers, of which `silent` did not answer; `calls` by service and
    operation, since the workers began.
    """

    asked: int = 0
    silent: int = 0
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)


def scraped(urls: Sequence[str]) -> WorkerMetrics:
    """The calls of these workers, added."""
    metrics = WorkerMetrics(len(urls))
    for url in urls:
        try:
            metrics.calls += read_calls(exposition(url))
        except (URLError, OSError, ValueError):
            metrics.silent += 1
    return metrics


def exposition(url: str) -> str:
    """What a process tells at its /metrics. Raises: OSError, ValueError."""
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no URL of a worker's metrics")
    with urlopen(url, timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
        return text


def read_calls(text: str) -> Counter[tuple[str, str]]:
    """Calls by service and operation, as an exposition tells them. Raises: ValueError."""
    from prometheus_client.parser import text_string_to_metric_families

    calls: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == CALLS:
                calls[STREAMS, sample.labels["operation"]] += int(sample.value)
    return calls
