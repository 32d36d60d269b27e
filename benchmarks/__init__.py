"""Measurements of how fast things are; each module is one command."""
