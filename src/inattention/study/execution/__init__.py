"""Running the jobs of a study, here or on a cluster."""
