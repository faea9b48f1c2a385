"""Differences between parts of a cohort: sites, scanners, sexes, ages, answers.

Each has the exact rule's bound or says why it has none.
May import ``cohort`` and what that may; never files or models.
"""
