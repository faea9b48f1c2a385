"""``python -m flows``: the command line.

Python puts the working folder first on its import path here; it may hold an archive's own ``gzip.py``, so it is taken
off before anything else is imported, unless this program lies in it.
"""

import sys

if not sys.flags.safe_path and sys.path and not __file__.startswith(f"{sys.path[0]}/flows/"):
    del sys.path[0]

from flows.cli import main

main()
