"""The student: one TextCNN, as it is trained (convolutions), as it is served (sums of table rows), and its n-grams."""
