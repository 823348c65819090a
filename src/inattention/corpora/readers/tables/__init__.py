"""Parquet and Arrow files of a local dataset: `shards` finds them, `rows` reads them by way of `worker`."""
