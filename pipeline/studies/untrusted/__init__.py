"""What reads files that nobody vouches for: worker processes with limits, and containers that may be bombs.

May import readers' options and errors. Knows no format.
"""
