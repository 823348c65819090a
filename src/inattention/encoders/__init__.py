"""Encoders, ours and Hugging Face's, and log-mel features behind one small interface."""
