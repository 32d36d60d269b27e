"""The pages; main.py names them."""
