"""How the two small models that ship with the kit are made (notebooks A1 and A2)."""
