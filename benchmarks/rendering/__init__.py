"""Training scenes that are rendered: real depth, light and shadow of made-up worlds (Mitsuba 3)."""
