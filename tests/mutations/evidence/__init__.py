"""Mutations of what is said of scores and answers: metrics, the exact rule, cohorts, comparisons, figures, places."""
