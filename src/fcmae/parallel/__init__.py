"""All that knows of processes: how many share a run, who writes, and what they exchange."""
