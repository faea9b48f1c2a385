"""One file a method. Importing this package fills the registry."""

from cam.methods import gradcam, hirescam, layercam

__all__ = ["gradcam", "hirescam", "layercam"]
