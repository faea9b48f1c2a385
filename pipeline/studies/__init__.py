"""Files to ``Study``: volumes with their geometry, masks, pseudonyms; nothing that identifies a patient leaves.

The folders below may import the data types beside this file (``volume``, ``geometry``, ``study``); ``read_study`` puts
them together. May import errors; neither settings, models nor evidence, and never torch.
"""
