"""What was told, once more: read into a consumer again, told again to everybody, or given up where it is lost on the way."""
