"""What a person reads on the screen."""
