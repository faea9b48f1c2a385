"""Where a map can be taken from: which layer, which of its axes are space, where a token lies in the image.

May import ``cam.network`` and ``cam.memory``. Neither methods nor procedures: a layer is found before anything is
computed at it.
"""
