"""How the two small models that ship with the kit were made (notebooks A1 and A2 run this code)."""
