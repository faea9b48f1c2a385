"""What it takes to write a CAM method: the decorators, and what a method that asks the model more is given.

A package offers its method by the entry point group ``camaudit.methods``; ``camaudit.testing.methods`` checks it.
"""

from cam.registry import Method, method, procedure
from cam.request import ExplanationRequest, RawMaps

__all__ = ["ExplanationRequest", "Method", "RawMaps", "method", "procedure"]
