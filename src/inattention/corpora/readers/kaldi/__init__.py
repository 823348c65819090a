"""Kaldi data folders: `data_folder` reads their files, `reader` makes a corpus of them."""
