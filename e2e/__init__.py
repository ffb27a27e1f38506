"""The product on kind, as a user's cluster will run it. Needs Docker and kind; `make check` never collects it."""
