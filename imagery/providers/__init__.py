"""Adapters to those who have imagery. Each implements `ports.Provider`."""
