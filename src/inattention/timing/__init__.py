"""What mechanisms cost: time and memory measured side by side, operations counted, and what theory says."""
