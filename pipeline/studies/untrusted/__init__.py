"""What meets files that nobody vouches for: worker processes with limits, and containers that may be bombs.

May import errors, and of ``readers.shared`` the way to refuse a file. Knows no format and no study: what a worker runs
is named by its caller.
"""
