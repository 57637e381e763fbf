"""Metrics, thresholds, plots and reports: no models."""
