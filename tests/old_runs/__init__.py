"""Finished runs of each version of a run's files: every later version reads them, or refuses them in a sentence."""
