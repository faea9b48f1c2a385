"""Files to ``Study``: volumes with their geometry, masks, pseudonyms; nothing that identifies a patient leaves.

May import settings and errors; neither models nor evidence.
"""
