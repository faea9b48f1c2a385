"""What is looked at before the first inference: names, settings, model, archive, how long it will take.

May import the walk; writes nothing.
"""
