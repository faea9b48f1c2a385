"""The door of camaudit: what code outside this project imports, so that it needs no name of ``pipeline``.

May import every package of camaudit; none of them imports it.
Nothing here computes: each name leads to the room that does.
"""
