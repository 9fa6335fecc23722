"""Pre-training: what is settled before it starts, what is trained, what is looked at meanwhile."""
