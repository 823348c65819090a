"""Pre-training on unlabelled speech: masking, the masked acoustic model, the training run."""
