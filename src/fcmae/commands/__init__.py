"""What a user can ask for: the options of every command, and functions with the same keywords."""
