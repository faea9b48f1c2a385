"""Maps and masks to scores, cohort and verdicts."""
