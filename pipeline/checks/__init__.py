"""What is looked at before the first inference: names, settings, model, studies, and how long it will take.

May import the walk and everything that the walk may import. Not ``pipeline.runs``: a check leaves nothing behind, and
what it says is the same whether or not a run follows.
"""
