"""What frozen features tell of speaker and phone: small probes, trained on them and scored on held-out speech."""
