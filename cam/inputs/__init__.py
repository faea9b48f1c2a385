"""What a caller may write: arguments, other packages' spellings, and what is explained of an output.

May import ``cam.network`` and torch; nothing of methods or layers.
Whatever is wrong here is refused in one sentence, before the model is run.
"""
