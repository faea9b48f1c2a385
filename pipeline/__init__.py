"""From files to findings: studies, models, evidence, records."""
