"""One owner of an audit: what was fixed, what was done, what is kept; how it is locked and taken up again.

The only room that knows all others. Nobody in ``pipeline`` imports it.
"""
