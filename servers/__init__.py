"""Real servers, started one after another and asked by the project's own commands: `make check-servers`."""
