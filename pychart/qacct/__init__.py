"""`pychart qacct`: answers qacct's own command line from the warehouse, in qacct's own words."""
