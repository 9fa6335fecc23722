"""Fine-tuning: its plan, its first weights, the task, validation and the report."""
