"""Figures from labels and probabilities: metrics, thresholds, intervals, calibration. No models, no pages."""
