"""The warehouse: what is stored, what can be asked of it, and the two engines that hold it."""
