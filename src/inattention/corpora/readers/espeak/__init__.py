"""Synthetic speech by eSpeak NG."""
