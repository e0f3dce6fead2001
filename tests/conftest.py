"""What holds for every test.

Rules of this file: the environment of a test run must not change what is tested. A run in the background may have been
started with SIGINT ignored, and children inherit that: then Ctrl-C, which the tests send to them, would do nothing.

Properties draw the same examples in every run, so that a change fails for what it changed and not for a draw that it met
first; `HYPOTHESIS_PROFILE=seek` draws new ones (`make seek`).
"""

import os
import signal

from hypothesis import settings

signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("same", derandomize=True)
settings.register_profile("seek", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
