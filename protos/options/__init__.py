"""What an RPC declares of itself."""
