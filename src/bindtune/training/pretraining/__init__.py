"""Continued pretraining of a masked language model on windows."""
