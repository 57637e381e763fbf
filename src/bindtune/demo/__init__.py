"""The embedded default: generated data and small models, to try everything without a download. None of it is real."""
