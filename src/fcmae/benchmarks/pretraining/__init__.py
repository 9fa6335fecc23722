"""Steps of pre-training: how fast they are, what they hold, where their time goes."""
