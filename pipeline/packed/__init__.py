"""Long lists in little memory: texts behind each other in one piece, and items that lie as bytes, some at a time.

May import nothing of ours: rows of an archive, a run's members and records are all the same here.
What is looked at again and again stays an object; what a million studies have one of each belongs here.
"""
