"""What the first page is made of: its words and its short list of contents.

May import what a section may. ``reports.sections.cover`` lays it out; nothing here reads a file.
"""
