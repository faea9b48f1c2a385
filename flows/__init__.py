"""When, where and how often: the Prefect flow, the schedule, the command line, the demonstration.

May import everything, and nobody imports it. No arithmetic and no file format lives here. Torch, MONAI and Prefect are
imported when they are needed, so that ``camaudit --help`` answers at once.
"""
