"""What holds for every test.

Rules of this file: the environment of a test run must not change what is tested. A run in the background may
have been started with SIGINT ignored, and children inherit that: then Ctrl-C, which the tests send to them,
would do nothing. Nor may the account of the developer who runs them: a sink of an example must not reach a
real bus, and says another thing where there are credentials. Nor may the day, a faked one included.

Properties draw the same examples in every run, so that a change fails for what it changed and not for a draw
that it met first; `HYPOTHESIS_PROFILE=seek` draws new ones (`make seek`). However long a draw takes, it is no
failure: the machine may be busy.
"""

import os
import signal

from hypothesis import HealthCheck, settings

from tests.faked import sitecustomize as faked

signal.signal(signal.SIGINT, signal.default_int_handler)

for name in [
    variable for variable in os.environ if variable.startswith("AWS_") and variable != "AWS_CA_BUNDLE"
]:
    del os.environ[name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
if faked.IS_BROKEN:
    os.environ.setdefault("FAKETIME_FORCE_MONOTONIC_FIX", "0")  # as tests/someday.sh has it
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [os.path.dirname(faked.__file__), os.environ.get("PYTHONPATH")])
    )

settings.register_profile("same", PATIENT, derandomize=True)
settings.register_profile("seek", PATIENT, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
