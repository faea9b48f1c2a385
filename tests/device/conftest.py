"""The pretended device is set up for a whole process: these tests have one of their own, ``tests/test_device.py``."""

import os

if "CAMAUDIT_PRETENDED_DEVICE" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
