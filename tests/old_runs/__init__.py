"""Finished runs of each version of what a run leaves: they must be read by every later one, or refused in a sentence."""
