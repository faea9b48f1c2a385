"""Which studies an archive holds, without opening them: manifests, layouts of data sets, file names.

May import errors, and of the readers what a side file says.
"""
