"""Accounting files to rows: find, read, frame, insert, remember."""
