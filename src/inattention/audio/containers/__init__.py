"""What containers of audio say about their length, where libsndfile does not look or stops too early."""
