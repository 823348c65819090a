"""The encoder: config, layers, saving and loading, and features of any audio."""
