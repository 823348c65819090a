"""Face of the command line: options and help from dataclasses, explained mistakes, output, and how commands end."""
