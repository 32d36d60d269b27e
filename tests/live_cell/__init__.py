"""A real Grid Engine cell on one Debian machine, and whether the warehouse equals its qacct."""
