"""The networks: a masked autoencoder, what it is made of, and what it becomes."""
