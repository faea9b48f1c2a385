"""The classifier and what it is shown: loading, transforms, prepared inputs. MONAI lives here.

May import studies and ``cam``; neither evidence nor runs.
"""
