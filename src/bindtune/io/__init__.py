"""Readers and writers: file syntax only, streaming, with file and line in every error."""
