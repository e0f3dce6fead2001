"""What event sourcing decides: events as items, what a lost append means, upcasting, the sequence of a feed.
Pure.
"""
