"""Linear layers in int8: the quantiser, and recordings on which it measures the ranges of activations."""
