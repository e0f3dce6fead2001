"""What columns items have: entities, names, kinds that only widen, and values by columns."""
