"""What attention does, shown: maps, and later what heads have in common."""
