"""Networks, models and plans as people see them: drawings, plots, reports, bonds."""
