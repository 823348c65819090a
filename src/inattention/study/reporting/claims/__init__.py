"""The claims that a study is judged by."""
