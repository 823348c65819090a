"""An exported file against the model in PyTorch: the same hidden states, and the same accuracy."""
