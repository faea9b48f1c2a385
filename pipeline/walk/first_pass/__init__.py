"""What is read of a cohort before its first study is explained: masks alone, for what compares one with the others.

May import what the rest of ``walk`` may.
No model is needed here, and nothing of a run's folder is known.
"""
