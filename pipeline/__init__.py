"""From files to findings. The modules beside this one are for everybody: settings, errors, files, progress.

The rooms import upwards only, from ``findings`` over ``studies``, ``models``, ``evidence``, ``conclusions``, ``walk``
and ``checks`` to ``runs``; the contract "rooms" in ``pyproject.toml`` holds the order. Nothing here imports ``reports``
or ``flows``.
"""
