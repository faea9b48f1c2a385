"""One study from its row in the archive to its record: read, prepare, explain, carry to the mask's grid, measure.

May import everything below; knows nothing of runs and their folders.
"""
