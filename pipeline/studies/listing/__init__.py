"""Which studies an audit has: manifests, layouts of public data sets, file names.

May import errors, pseudonyms, what readers share about side files, containers, and for writing a manifest what a scan
found (``studies.index``). Opens no image: a row names files, ``read_study`` reads them.
"""
