"""A look at this installation and these weights: what runs here, and whether it is right."""
