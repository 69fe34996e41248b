"""What tests of all services stand on."""
