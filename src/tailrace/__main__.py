"""`python -m tailrace` is the command line.

Rules of this file: nothing else.
"""

from tailrace.cli.main import main

main()
