"""Public data sets whose published figures are computed again, by programs that need the set at hand."""
