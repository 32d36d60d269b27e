"""Tests of the whole; run with `make test`."""
