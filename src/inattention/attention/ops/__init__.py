"""Operations that several mechanisms share: fixed maps, banded products, hashing, windows, caching."""
