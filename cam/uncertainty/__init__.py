"""The same question asked of several variants: what a map keeps, and how far it moves.

May import ``cam.explain`` and what a caller of it may; of ``cam`` only its ``__init__`` imports this.
Nothing is kept between calls.
"""
