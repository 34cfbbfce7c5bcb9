"""The methods of the class of a model: arguments, values, calls of parts."""
