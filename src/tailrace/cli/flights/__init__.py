"""The parts of `tailrace demo`: what writes, what is killed, what is counted, what is compared."""
