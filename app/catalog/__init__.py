"""What is sold: services, attestations, prices and routes."""
