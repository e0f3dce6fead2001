"""What Python imports by this name in every process that tests start: the folder is on its path
(tests/conftest.py).

Rules of this file: it only imports. What is imported has names that no program of a test has.
"""

import tests_on_a_faked_day  # noqa: F401
import tests_stay_on_loopback

tests_stay_on_loopback.guard()
