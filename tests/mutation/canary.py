"""The canary of the campaign: a change that no test of its own can notice, so it must
be reported as survived.

Rules of this file: were it reported as caught, the campaign would call anything caught, and a green
one would say nothing.
"""

from typing import Final

from tests.mutation.mutant import Mutant

CANARY: Final = Mutant(
    "canary",
    "values/canonical.py",
    "return -1 if Decimal(a) < Decimal(b) else 1",
    "return 1 if Decimal(a) < Decimal(b) else -1",
    "nothing that its test looks at",
    ("unit/mapping/test_retry.py",),
)
