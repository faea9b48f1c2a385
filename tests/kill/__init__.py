"""Runs that are killed, stopped, starved of disk or of their archive: ``make test-kill``.

Afterwards the same command leaves what an undisturbed run leaves, byte for byte, ``camaudit verify`` finds it sound,
and no finished shard was worked twice.
"""
