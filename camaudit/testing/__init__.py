"""Checks for code that extends camaudit: what its own methods, metrics and readers are put through, for others' tests.

May import every package of camaudit; none of them imports it.
"""
