"""Fine-tuning: what is settled before it starts, what is trained, how it is validated."""
