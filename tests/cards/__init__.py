"""The documents that are measured: a card for each method, and which methods are one map behind which head.

``python -m tests.cards --write`` renews them. May import ``cam`` and ``camaudit.testing``.
"""
