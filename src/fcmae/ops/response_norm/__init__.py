"""The per-image statistic of global response normalisation over visible sites."""
