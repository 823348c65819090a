"""Plan of a study: settings, presets, rows and the jobs that follow from them."""
