"""Plans that change: redrawn with few households moved, edited by hand, compared."""
