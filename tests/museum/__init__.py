"""The museum: what went wrong in other readers of DynamoDB's streams, played again, and why
it does not here.
"""
