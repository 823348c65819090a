"""What a person meets: options and help from dataclasses, explained mistakes, output, and how commands end."""
