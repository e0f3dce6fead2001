"""Mutations of critical lines: each is a wrong change that a test must notice."""
