"""Do the blocks of the picture that a map ranks high move the answer more than other blocks do?

Pictures with blocks taken away, and the rule that is held against their scores. Knows tensors and numbers; neither
files nor the network, which answers through a function that is handed in.
"""
