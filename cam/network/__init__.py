"""What is asked of the network itself: its graph, its outputs, what follows a layer, whether it answers alike.

May import torch and ``cam.request``; ``last_layers`` alone imports ``cam.procedures.perturb``, whose batches it runs.
Knows no method and no layer by its kind.
"""
