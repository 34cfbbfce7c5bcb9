"""Networks beside the frozen layers of a model: trained, merged, unloaded, stored, exported."""
