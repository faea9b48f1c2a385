"""What is tried on the model itself: a network and the chosen studies to the rows of a family, one file a family.

May import ``cam``, the walk of a study and every room below it. Only ``runs`` imports it; what follows from the rows is
in ``evidence``, without torch.
"""
