"""The only SQL of the project. May import model and vault."""
