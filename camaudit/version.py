"""The version of what is installed, as packages name it: that of the last tag, which no file of the sources says."""

from pipeline.program import camaudit_version

__all__ = ["__version__"]

__version__ = camaudit_version()
