"""Who hears of a run: its page on the Prefect server, whoever is to be notified, whoever may ask it to end.

``outcomes`` and ``beside`` load no Prefect; ``run_page`` does, and may import runs and findings. Nothing that is told
here costs a run anything, and nothing of it names a patient.
"""
