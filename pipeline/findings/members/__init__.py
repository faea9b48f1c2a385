"""The list of a run's studies: who is in it, of which bytes, and which shard audits whom."""
