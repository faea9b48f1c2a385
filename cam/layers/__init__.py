"""Where a map can be taken from: which layer, which of its axes are space, where a token lies in the image.

May import ``cam.network``; nothing of ours outside ``cam``.
"""
