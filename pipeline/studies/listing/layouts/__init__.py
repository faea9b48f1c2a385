"""Public data sets as their makers hand them out: one file a layout, known by its marks, read without a manifest.

A layout may import study rows, readers' endings and errors; it opens no image. ``dataset_layouts`` holds their list.
A new one: its file here, its line in that list, its row in docs/formats.md.
"""
