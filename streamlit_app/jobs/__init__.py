"""The page Jobs: the list that a search finds, one job, and an array."""
