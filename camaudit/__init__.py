"""The public door: what users and third parties import, so that nobody outside imports ``pipeline``."""
