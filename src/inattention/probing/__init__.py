"""Probing: small classifiers of speaker and phone, trained on frozen features and scored on held-out speech."""
