"""Whether this installation does what it has to: known cases made by code, nothing downloaded, nothing of a patient.

May import every package; no other part of ``flows`` may import it but the command.
Each file holds the cases of one area, and returns ``KnownCase`` for each; a case never raises.
"""
