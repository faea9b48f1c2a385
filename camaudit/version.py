"""The version of what is installed, as Python packages name it: that of the last tag, and no file of the sources says it."""

from pipeline.program import camaudit_version

__all__ = ["__version__"]

__version__ = camaudit_version()
