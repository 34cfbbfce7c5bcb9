"""What a model lost when it was made smaller, brought back: in closed form, then end to end."""
