"""Broken inputs by the thousand, for everything that reads what strangers may write.

python -m tests.fuzz --inputs 10000 --seed 0
"""
