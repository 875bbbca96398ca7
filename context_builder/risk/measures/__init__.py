"""What is measured of deployments, minute by minute."""
