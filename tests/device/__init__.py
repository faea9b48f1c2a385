"""A CUDA device that is only pretended: mistakes of devices and waits of the host, seen on machines without one."""
