"""Public data sets as their makers hand them out: one file a layout, known by its marks, read without a manifest.

May import study rows, file names' rules, what readers declare, and errors.
Must not open an image: a row names files, ``read_study`` reads them. ``dataset_layouts`` holds the list of layouts.
"""
