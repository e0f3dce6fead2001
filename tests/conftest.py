"""What holds for every test.

Rules of this file: the environment of a test run must not change what is tested. A run in the background may have been
started with SIGINT ignored, and children inherit that: then Ctrl-C, which the tests send to them, would do nothing.
"""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
