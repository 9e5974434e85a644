"""How a team writes its application next to this service."""
