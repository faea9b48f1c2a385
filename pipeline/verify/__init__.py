"""A finished run held against itself, without model and archive: hashes, signatures, rows, maps, conclusions, report.

May import findings, evidence and conclusions; of documents it is lent what it needs.
Must not reach torch or the model; what needs the archive stands in ``runs.verify_archive``.
"""
