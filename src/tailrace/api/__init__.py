"""AWS's APIs: one registry of operations for every protocol, one dispatcher, and one place that renders
errors.
"""
