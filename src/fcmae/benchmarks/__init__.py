"""What the package costs on the machine at hand. Nothing is timed that is not right."""
