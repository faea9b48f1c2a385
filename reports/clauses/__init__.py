"""What laws, guidances, standards and checklists ask, as dated data, and what of it a report speaks to.

``clauses.toml`` holds every row: what a clause asks in our own words, where a report answers it, what it leaves open,
its status and when that was looked up. No date and no clause stands anywhere else.
May import ``pipeline.findings``, ``pipeline.vocabulary`` and, for tables, ``reports``; nobody but sections import it.
"""
