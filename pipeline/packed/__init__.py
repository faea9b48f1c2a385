"""Long lists in little memory: texts behind each other in one piece, and items that lie as bytes, a block at a time."""
