"""The parts of `tailrace demo`: what writes, what is killed, what is counted, what is compared, and what
one sees of it.

Rules of this package: it is loaded by the command from wherever the example lies, in a checkout or in the
installed package, so its modules name one another relatively. What it runs is the application beside it, as
anybody would run it.
"""
