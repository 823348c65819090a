"""Trained encoders, ours and Hugging Face's, and input features, behind one small interface."""
