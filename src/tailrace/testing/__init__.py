"""Public tools for tests: the world, the seeded loop, contract checks, simulation."""
