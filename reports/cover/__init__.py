"""What the first page is made of: its words and its short list of contents.

``reports.sections.cover`` lays it out; nothing here reads a file.
May import what a section may.
"""
