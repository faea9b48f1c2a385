"""What each command of the command line takes and says; the work is done in ``flows.commands``.

A function is a command; ``flows.cli`` lists them in the order of ``--help``. Each imports what it needs when it runs:
here only the standard library, Typer and modules that import nothing heavy.
"""
