"""A finished run and its archive to what can be written in other programs' formats, one study in memory at a time.

It reads studies as the audit did, in processes of their own, and holds each against the hash that the run recorded.
It stands above ``pipeline.runs`` and may import all of ``pipeline``; it writes nothing.
"""
