"""Broken and odd files of every kind that bindtune reads, with the message or the values that each must give."""
