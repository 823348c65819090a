"""What a study runs: settings, presets, rows and the jobs that follow from them."""
