"""The fault matrix: every way that loading could lose or double a line, made to happen.

`make faults` runs it; docs/reliability.md says what is in it and holds the latest results.
"""
