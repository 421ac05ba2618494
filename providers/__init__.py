"""The vendors: one TOML file each, and a module for each wire dialect. Adding a vendor is adding a file."""
