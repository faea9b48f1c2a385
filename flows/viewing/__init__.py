"""A run looked at in the browser of its own machine: a server on the loopback for one reader, and what it writes.

``admission.py`` decides who may ask, without a socket; ``server.py`` answers; ``desk.py`` keeps what is
written; ``view.py`` is the command.
May import ``reports`` and ``pipeline``; the standard library's server is enough for one reader.
"""
