"""What a run is and what it may do: its lock against a second one, the register of who has looked.

May import everything in ``pipeline`` and ``cam``; only ``flows`` and the public door may import it.
Nothing in ``pipeline.findings``, ``studies``, ``models`` or ``evidence`` may.
"""
