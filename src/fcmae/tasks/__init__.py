"""What a user can have done: each task is one function, and one command."""
