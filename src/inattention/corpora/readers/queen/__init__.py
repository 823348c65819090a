"""Acted speech of the game Flight of the Amazon Queen."""
