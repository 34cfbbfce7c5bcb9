"""What one operation of a model costs: functions, layers, products, on symbolic tensors."""
