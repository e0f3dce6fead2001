"""The pytest plugin: the `world` fixture. Builder E writes it."""
