"""Two architectures beside each other: what differs in structure and in costs, and a picture."""
