"""From files to a model's input: waveforms, log-mel, deltas, normalisation, frame stacking."""
