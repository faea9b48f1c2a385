"""What a run keeps of its shown cases' pictures: planes cut for pages, and what a viewer scrolls through.

May import what ``pipeline.findings`` may. Arrays and the facts beside them, as files; who cuts them is elsewhere.
``array_file.py`` writes both.
"""
