"""What stands on the topics and in a bundle's manifest: typed, validated, and free of any other package of ours."""
