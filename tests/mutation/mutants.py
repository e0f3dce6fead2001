"""All mutants of `make mutate`.

Rules of this file: a name once. A mutant changes what is lost, repeated, reordered or answered wrongly, not
how fast or in which words; one that no test can tell from the original is no mutant. Where a new one
survives, the test is written that it lacks.
"""

from typing import Final

from tests.mutation.aggregation import AGGREGATION
from tests.mutation.builds import BUILDS
from tests.mutation.data import DATA
from tests.mutation.data_streams import DATA_STREAMS
from tests.mutation.delivery import DELIVERY
from tests.mutation.destinations import DESTINATIONS
from tests.mutation.fan_out import FAN_OUT
from tests.mutation.fleets import FLEETS
from tests.mutation.machine import MACHINE
from tests.mutation.mutant import Mutant
from tests.mutation.replays import REPLAYS
from tests.mutation.survivors import SURVIVORS

MUTANTS: Final[tuple[Mutant, ...]] = (
    *SURVIVORS, *MACHINE, *DELIVERY, *FLEETS, *BUILDS, *DATA, *REPLAYS, *FAN_OUT, *DATA_STREAMS, *AGGREGATION,
    *DESTINATIONS,
)  # fmt: skip
