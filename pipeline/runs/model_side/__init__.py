"""The side of a run that holds its model: opening it, and what conclusions ask of it again.

May import what ``pipeline.runs`` may. Only the methods of ``Run`` that need the model import it, when they are called:
torch and MONAI take 300 MiB, which a process that watches others or concludes is not to hold.
"""
