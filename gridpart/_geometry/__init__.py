"""Array code on geometry: segments and their borders, misaligned places, orders."""
