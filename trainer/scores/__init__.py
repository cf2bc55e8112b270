"""What teachers say of texts: stored by row, mixed, and out of fold."""
