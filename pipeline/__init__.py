"""From files to findings. The modules beside this one are for everybody: settings, errors, files, progress.

The rooms import upwards only: findings, studies, models, evidence, conclusions, walk, checks, runs.
"""
