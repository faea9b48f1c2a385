"""What is signed beside the ledger: persons' signatures and decisions, a run's attestation, a qualification.

May import findings and their chain of custody.
Nothing here signs a PDF or reads one: that is for ``reports.signing``.
"""
