"""How far a map changes when it is asked again: with units left out, by other networks, of changed images.

Each way gives the mean and the spread of maps on one grid, in the units of the map.
May import ``cam.explain`` and what a caller of it may; nothing in ``cam`` imports this.
"""
