"""The life of a run: one loop, its folder, checkpoints, and what all tasks share."""
