"""Speech with speakers and phones, as lhotse CutSets: one file a corpus."""
