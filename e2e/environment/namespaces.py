"""Namespaces whose names a run takes as they are; those of scenarios have a random end."""

OPERATOR = "qdrant-operator"
STORAGE = "storage"
SIMULATOR = "simulated-qdrant"
DEMO = "demo"
TAKEN = (OPERATOR, STORAGE, SIMULATOR, DEMO)
