"""How far maps move under changes that should matter little: from rows to figures and one answer.

May import findings, the configuration and ``sanity``.
NumPy only, as there.
"""
