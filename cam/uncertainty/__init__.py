"""How far a map changes when it is asked again: with units left out, by other networks, of changed images.

May import ``cam.explain`` and what a caller of it may; nothing in ``cam`` imports this.
"""
