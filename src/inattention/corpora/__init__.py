"""Speech with speakers and phones, as lhotse CutSets: one reader per corpus."""
