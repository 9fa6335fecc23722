"""What every training shares: its options, its run folder, and one process's part in it."""
