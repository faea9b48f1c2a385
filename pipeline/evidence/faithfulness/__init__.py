"""Do the blocks of the picture that a map ranks high move the answer more than other blocks do?

Pictures with blocks taken away, and in ``rule`` what their scores come to, without torch: a verification imports that.
May import torch, ``cam``'s engine of changed inputs, baselines and ``studies.geometry``. Neither files nor the network,
which answers through a function that is handed in.
"""
