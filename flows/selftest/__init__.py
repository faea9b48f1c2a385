"""The self-test: models whose leaning is known, audited by the battery of this program, and its rates of error.

Phantoms are drawn, small networks trained on them, and what each of them leans on is measured by the generator itself:
it renders a study with and without a shortcut, all else equal. May import ``pipeline.evidence`` and
``pipeline.findings``, torch and NumPy. Nothing here prints: ``flows.commands.selftest`` does.
"""
