"""What a part of the method does, by leaving it out."""
