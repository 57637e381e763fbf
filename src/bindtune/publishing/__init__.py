"""Verifies released weights, and uploads trained models to a hub."""
