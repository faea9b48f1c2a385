"""A run from its folder to its results: what was fixed, what each shard did, what is carried over, what follows.

May import every other room of ``pipeline``, and ``cam``. No other room imports it: the commands and the flow begin
here, and whoever wants one study or one number needs no run.
"""
