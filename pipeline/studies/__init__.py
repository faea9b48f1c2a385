"""Files to ``Study``: geometry, volumes, readers, archives, privacy."""
