"""One file a section. Importing this package fills the registry: a new file here is a new section.

A section may import ``reports``, ``reports.page`` and the types of ``pipeline.findings``. Not another section, and
nothing that computes: each number is printed as it was found.
"""

from importlib import import_module
from pkgutil import iter_modules

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
