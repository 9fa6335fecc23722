"""Pre-training: methods, their plans, the task, what is observed meanwhile, and the report."""
