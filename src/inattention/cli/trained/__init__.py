"""Commands for trained encoders: import, export, and the table of conversions."""
