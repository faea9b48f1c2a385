"""What a model tells of itself, for a draft of a configuration that a person then reads.

May import what ``pipeline.models`` may, and the models' own modules. No audit asks here: what a run does follows from
its configuration alone.
"""
