"""What is asked of the network itself: its graph, its outputs, what follows a layer, whether it answers alike.

May import torch; of ours nothing outside this folder and the requests that it serves.
"""
