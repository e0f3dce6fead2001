"""What can be asked of a state store and its streams: progress, stories, gaps, letters, leases, projections.
Nothing here knows an engine, a socket or a command.
"""
