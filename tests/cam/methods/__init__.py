"""Methods held against closed forms, their oracles, and other packages' lists."""
