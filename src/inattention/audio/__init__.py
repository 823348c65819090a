"""From a waveform to a model's input: log-mel, deltas, normalisation, frame stacking."""
