"""The command line: the only package that imports both the loader and the app."""
