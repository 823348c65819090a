"""Cost of mechanisms: time and memory measured side by side, operations counted, and theoretical cost."""
