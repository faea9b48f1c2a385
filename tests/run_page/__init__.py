"""A run's pages on a real Prefect server, looked at by a real browser."""
