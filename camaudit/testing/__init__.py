"""Checks for code that extends camaudit: what its own methods and metrics are put through, for third parties' tests.

May import every package of camaudit; none of them imports it.
What fails raises an AssertionError of one sentence.
"""
