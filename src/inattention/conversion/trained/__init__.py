"""Conversion of trained encoders of `transformers`: Whisper, wav2vec 2.0, HuBERT and similar ones."""
