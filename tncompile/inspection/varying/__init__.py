"""What an architecture costs as a number of it varies: costs, their table, their picture."""
