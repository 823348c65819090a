"""The encoder: its settings, its layers, saving and loading, and features from any audio."""
