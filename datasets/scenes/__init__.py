"""Scenes for view synthesis in three formats; `load` reads them into one form."""
