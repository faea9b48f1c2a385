"""Maps that know where they lie: images as they are given, the maps on them, and what is measured and drawn of both.

Reading a kept map needs neither torch nor MONAI: what needs them is imported where it is used. May import whatever
``camaudit`` may, and of the door itself its pictures (``views``).
"""
