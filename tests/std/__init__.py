"""The models of the standard library, each with a twin in plain torch."""
