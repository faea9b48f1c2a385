"""What methods keep beside their oracles, one file for each kind."""
