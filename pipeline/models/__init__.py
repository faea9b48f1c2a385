"""The classifier and what it is shown: loading, transforms, prepared inputs. MONAI is imported here only.

May import settings, errors and atomic writing, and of studies the study and its data types. Neither evidence nor runs:
a model does not know that it is judged.
"""
