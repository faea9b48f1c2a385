"""Acceptance criteria to answers: what each claims, of whom, and what the exact rule says to it.

May import the rest of ``evidence`` and the configuration. The rule itself, without any of our words, is in ``exact``.
A cohort that grows while it is looked at has its own file.
"""
