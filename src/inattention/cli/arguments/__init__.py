"""Command-line arguments: options from dataclasses, placeholders, help, and the explanation of mistakes."""
