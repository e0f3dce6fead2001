"""One attempt at a sink: what it says, and what it means when it raises instead.

Rules of this file: raising is a sink's way to say that the whole batch failed, and no sink ends anything by it. Called by driver.py and redriver.py.
"""

from tailrace.app.fence import FENCE, told
from tailrace.errors import PortError, Refused, Throttled
from tailrace.ports import Batch, Failed, Failure, FailureKind, Outcome, Sink
from tailrace.runtime.traces import trace_of


async def attempt(sink: Sink, batch: Batch) -> Outcome:
    """What the sink says of a batch. Guarantee: it raises nothing but our own cancellation, an operator's interrupt and a test's `Death`."""
    try:
        with FENCE:
            return await sink.write(batch)
    except PortError as error:
        return Failed(whole=said_by_port(error))
    except Exception as error:  # whatever a sink raises, the port says: the whole batch failed
        text = trace_of(error, error.__traceback__)
        error.__traceback__ = None  # the next time that this very object is raised its trace begins anew
        return Failed(whole=Failure(FailureKind.RECORD, told(error), text))


def said_by_port(error: PortError) -> Failure:
    """What a sink says that raises instead of answering."""
    match error:
        case Refused():
            return Failure(FailureKind.RECORD, str(error), final=True)
        case Throttled():
            return Failure(FailureKind.THROTTLED, str(error), retry_after_ms=error.retry_after_ms)
    return unavailable(error)


def unavailable(error: PortError) -> Failure:
    """What a port's failure is to the machine: it waits at least as long as the port says."""
    return Failure(FailureKind.UNAVAILABLE, str(error), retry_after_ms=error.retry_after_ms)
