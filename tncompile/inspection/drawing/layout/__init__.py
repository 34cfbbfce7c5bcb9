"""From what a drawing shows to a scene: rows, order, spacing, routes, labels, given places."""
