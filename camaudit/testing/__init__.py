"""Checks for code that extends camaudit: what its own methods, metrics and readers are put through, for others' tests.

May import every package of camaudit, and torch where a check needs it. None of them imports it: what is shipped does
not test itself. What fails raises an AssertionError of one sentence.
"""
