"""A first ``audit.yaml`` from what archive and model tell: what was guessed says so in the file.

May import the studies' listing, the models and their traits, and the configuration. It writes text and audits
nothing; ``flows.commands.init`` asks it, and tries what it wrote.
"""
