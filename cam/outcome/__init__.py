"""What ``explain`` returns: maps by method, layer and target, and which of them are one piece of evidence.

May import ``cam.inputs`` and torch.
A map stays raw and signed until somebody draws it.
"""
