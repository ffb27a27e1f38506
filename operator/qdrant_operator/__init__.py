"""Runs Qdrant clusters, collections and backups on Kubernetes."""

__version__ = "0.1.0"
