"""What a run leaves behind and what a report may read: records, shards, the chain of events.

May import settings and errors. Neither torch nor a reader: a report and a verification open a run without them.
"""
