"""Expressions: conditions, updates, projections, key conditions; text to nodes to results."""
