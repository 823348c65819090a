"""Tables, figures, claims and the HTML report, made from a study's records."""
