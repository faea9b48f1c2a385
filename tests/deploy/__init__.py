"""How the package is installed, and the recipes of ``deploy/``."""
